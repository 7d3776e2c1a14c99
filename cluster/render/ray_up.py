"""`ray up` YAML for AWS, GCP, Azure and own hosts."""

from __future__ import annotations

from typing import Any, Final

from autotune.cluster.description.places import OnPremises
from autotune.cluster.description.spec import HEAD, ClusterSpec, Machine, Market
from autotune.cluster.render.clouds import node_config, provider
from autotune.cluster.render.common import (
    DASHBOARD_PORT,
    LOOPBACK,
    PORT,
    activation,
    head_of,
    switches,
    whole,
)

TOKEN: Final = "~/.ray/auth_token"  # where Ray looks for it on every node; a place, not a token
CONFIG: Final = "~/ray_bootstrap_config.yaml"  # where `ray up` leaves the configuration on the head
USER: Final = "ubuntu"
WATCHER_LOG: Final = "/tmp/ray/session_latest/logs/autotune_spot.log"


def ray_up(spec: ClusterSpec) -> dict[str, Any]:
    """What `ray up` reads; a pure function of a spec without findings."""
    config: dict[str, Any] = {
        "cluster_name": spec.name,
        "max_workers": sum(group.count.max for group in spec.nodes.groups),
        "idle_timeout_minutes": spec.nodes.recovery.idle_minutes,
        "provider": provider(spec),
        "auth": _ssh(spec),
        "file_mounts": {TOKEN: spec.authentication.token_file},
        "initialization_commands": [],
        "setup_commands": [f"chmod 600 {TOKEN}", *spec.image.setup],
        # head_setup_commands are left to Ray: they install the provider's library for its autoscaler
        "worker_setup_commands": [],
        "head_start_ray_commands": ["ray stop", _start(spec, head=True)],
        "worker_start_ray_commands": ["ray stop", _start(spec, head=False), *_watchers(spec)],
    }
    if isinstance(spec.where, OnPremises):
        for name in ("head_start_ray_commands", "worker_start_ray_commands"):
            config[name] = [activation(spec) + one for one in config[name]]
        return config
    config["docker"] = _docker(spec)
    config["head_node_type"] = HEAD
    config["available_node_types"] = _node_types(spec)
    return config


def _node_types(spec: ClusterSpec) -> dict[str, Any]:
    found: dict[str, Any] = {
        HEAD: {
            "resources": {"CPU": 0, "GPU": 0},  # no trial runs on the head
            "min_workers": 0,
            "max_workers": 0,
            "node_config": node_config(spec, head_of(spec).machine, Market.ON_DEMAND, head=True),
        }
    }
    for group in spec.nodes.groups:
        found[group.name] = {
            "resources": _resources(group.machine),
            "min_workers": group.count.min,
            "max_workers": group.count.max,
            "priority": group.priority,
            "node_config": node_config(spec, group.machine, group.market, head=False),
        }
    return found


def _resources(machine: Machine) -> dict[str, int]:
    return {"CPU": machine.cpus, "GPU": whole(machine.gpus), "memory": int(machine.work_gib * 2**30)}


def _ssh(spec: ClusterSpec) -> dict[str, str]:
    if not isinstance(spec.where, OnPremises):
        return {"ssh_user": USER}  # the key is made by Ray, 0600
    key = {"ssh_private_key": spec.where.ssh_key} if spec.where.ssh_key else {}
    return {"ssh_user": spec.where.ssh_user, **key}


def _docker(spec: ClusterSpec) -> dict[str, Any]:
    environment = [f"--env={name}={value}" for name, value in switches(spec).items()]
    return {
        "image": spec.image.name,
        "container_name": "autotune",
        "pull_before_run": True,
        "run_options": ["--ulimit=nofile=65536:65536", *environment],
    }


def _watchers(spec: ClusterSpec) -> list[str]:
    """Who listens for a cloud's notice; on every worker, since groups cannot differ in how Ray is started."""
    if all(group.market is not Market.SPOT for group in spec.nodes.groups):
        return []
    early = " --early" if spec.nodes.recovery.leave_early else ""
    watcher = f"python -m autotune.cluster.spot {spec.where.tag} --address=$RAY_HEAD_IP:{PORT}{early}"
    return [f"setsid {watcher} > {WATCHER_LOG} 2>&1 < /dev/null &"]


def _start(spec: ClusterSpec, head: bool) -> str:
    words = (
        []
        if not isinstance(spec.where, OnPremises)
        else [f"{name}={value}" for name, value in switches(spec).items()]
    )
    words += ["ray", "start", "--disable-usage-stats", "--object-manager-port=8076"]
    if head:
        words += [
            "--head",
            f"--port={PORT}",
            f"--dashboard-host={LOOPBACK}",
            f"--dashboard-port={DASHBOARD_PORT}",
            f"--autoscaling-config={CONFIG}",
        ]
    else:
        words.append(f"--address=$RAY_HEAD_IP:{PORT}")
    return f"ulimit -n 65536; {' '.join(words)}"
