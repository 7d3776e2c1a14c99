"""Which Ray cluster: our own on loopback, the one this process is connected to, or one that was named."""

from __future__ import annotations

import logging
import math
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import ray
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._private.services import canonicalize_bootstrap_address
from ray._private.state import state
from ray._raylet import Config  # type: ignore[attr-defined]  # compiled, and Ray's own
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autotune.cluster.live.access import is_loopback
from autotune.cluster.live.draining import staying
from autotune.cluster.live.knock import knock
from autotune.cluster.render.common import HEALTH, RECONNECT, RECONNECT_S
from autotune.errors import ClusterError, ConfigurationError, StudyError

GROUP: Final = "ray.io/node-group"  # the label that Ray gives a node by the autoscaler's name for its type


def connect(address: str | None, resources: Mapping[str, float], workers: int | None) -> bool:
    """Connect this process to a cluster.

    Without an address, or with `local`, the connection that this process already has is used, else a cluster
    of our own is started on the loopback interface, with Ray's token authentication. Another running cluster
    is joined only when it is named; `auto` is the one that Ray finds, which must ask for a token unless it is
    on loopback.

    Returns:
        Whether the cluster is our own, to be shut down at the end.

    Raises:
        ClusterError: When the one that was named cannot be joined.
        ConfigurationError: When our token does not open it, `auto` finds one that is open to everybody, or
            this process is connected to another one than was named.
        StudyError: When one of our own cannot be started.
    """
    if ray.is_initialized():
        _refuse_another(address)
        return False
    address = None if address == "local" else address
    try:
        with switches({"RAY_USAGE_STATS_ENABLED": "0"}):
            if address is None:
                start_local(logical_cpus(resources, workers))
            else:
                _show_token(address)
                with outlasting_the_head():
                    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConfigurationError:
        raise
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        if address is not None:
            raise ClusterError(f"cannot join the cluster at address={address!r}: {error}") from error
        raise StudyError(f"cannot start a Ray cluster here: {error}; see Ray's logs in /tmp/ray") from error
    _keep_token_private()
    return address is None


def _refuse_another(address: str | None) -> None:
    """A process has one connection: to train on it although another cluster was named would surprise."""
    if address is None or address in ("local", "auto"):
        return
    joined = ray.get_runtime_context().gcs_address
    if _place(address) != _place(joined):
        raise ConfigurationError(
            f"address={address!r} is not the cluster that this process is connected to, {joined}; call "
            "ray.shutdown() first, or leave the address out to train on that one"
        )


def _place(address: str) -> tuple[str, str]:
    """Host and port; the host is a number where its name is known here, and loopback where it is this one."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with suppress(OSError, UnicodeError):
        host = socket.gethostbyname(host)
    here = is_loopback(host) or host == ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray's
    return "127.0.0.1" if here else host, port


def _show_token(address: str) -> None:
    """Have `ray.init` show our token to a cluster that asks for one, which must be ours.

    By itself it does so only where RAY_AUTH_MODE was set before Ray was imported.
    """
    found = canonicalize_bootstrap_address(address)
    if found is not None and "/" not in found and knock(found, named=address != "auto"):
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)  # Ray's own, for `ray start`


def start_local(cpus: int | None) -> None:
    """Start a cluster of our own; all of Ray's processes listen on loopback and ask for its token.

    Ray offers no argument for this on Linux (it turns 127.0.0.1 into the address that others can reach), only
    its switch for desktop systems, which it reads once when it is imported: hence the constant beside it. The
    ports of Ray's metrics ask for no token, but listen on loopback, too.
    """
    constants = ray._private.ray_constants
    before = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    with switches({"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **HEALTH}):
        try:
            constants.ENABLE_RAY_CLUSTER = False
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        finally:
            constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def outlasting_the_head() -> Iterator[None]:
    """A connection made now waits for a head that is away longer than a minute, after which Ray ends us.

    Ray reads its environment when it is imported, when a connection is made, and when it is told to. What the
    user's environment says holds.
    """
    name = f"RAY_{RECONNECT}"
    with switches({name: os.environ.get(name, str(RECONNECT_S))}):
        Config.initialize("")
        yield


def _keep_token_private() -> None:
    """Ray writes its authentication token readable by everybody on this machine."""
    token = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):
        token.chmod(stat.S_IRUSR | stat.S_IWUSR)


def logical_cpus(resources: Mapping[str, float], workers: int | None) -> int | None:
    """CPUs of our own cluster: enough for `workers`; None leaves it to Ray (one per core)."""
    if workers is None:
        return None
    return max(1, math.ceil(workers * resources.get("CPU", 0)), os.cpu_count() or 1)


def slots(nodes: Sequence[Mapping[str, Any]], resources: Mapping[str, float]) -> int:
    """How many trials fit on the nodes that are alive, each on one node.

    >>> node = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}}
    >>> slots([node, node, {**node, "Alive": False}], {"CPU": 3})
    4
    >>> slots([node], {"CPU": 1, "GPU": 0.5})
    2
    """
    needed = {name: amount for name, amount in resources.items() if amount > 0}
    fits = 0
    for node in nodes:
        if node["Alive"] and needed:
            have = node["Resources"]
            fits += min(int(have.get(name, 0) / amount + 1e-9) for name, amount in needed.items())
    return fits


def on_their_way(
    booting: Mapping[str, AbstractSet[str]],
    nodes: Sequence[Mapping[str, Any]],
    resources: Mapping[str, float],
) -> int:
    """How many trials will fit on machines that boot: as on one of their type that was seen, else one each.

    >>> node = {"Alive": False, "Labels": {"ray.io/node-group": "big"}, "Resources": {"GPU": 8.0}}
    >>> on_their_way({"big": {"a", "b"}, "new": {"c", "d", "e"}}, [node], {"GPU": 1})
    19
    """
    seen = {node.get("Labels", {}).get(GROUP): slots([{**node, "Alive": True}], resources) for node in nodes}
    return sum(len(names) * seen.get(kind, 1) for kind, names in booting.items())


def live_nodes() -> list[dict[str, Any]]:
    """What Ray knows about the nodes of the cluster, dead ones included."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's own
    return nodes


def present(nodes: Sequence[Mapping[str, Any]]) -> int:
    """How many of them are alive."""
    return sum(bool(node["Alive"]) for node in nodes)


def ask_every_node(
    question: Callable[..., Any], *given: Any, patience_s: float
) -> list[tuple[Mapping[str, Any], Any]]:
    """Run a function on each node that is alive and not about to go, all at once.

    Args:
        question: At the top of a module.
        given: What it is called with.
        patience_s: Seconds that the nodes have to answer, the start of a process there included.

    Returns:
        Each node as Ray's table has it, with its answer, or with Ray's error where there is none.
    """
    asked: list[tuple[Mapping[str, Any], Any]] = []
    for node in staying(live_nodes()):  # one about to go takes no new work, and would be waited for
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": there}
            asked.append((node, ray.remote(question).options(**options).remote(*given)))
    if asked:
        ray.wait([answer for _, answer in asked], num_returns=len(asked), timeout=patience_s)
    answers: list[tuple[Mapping[str, Any], Any]] = []
    for node, answer in asked:
        try:
            answers.append((node, ray.get(answer, timeout=0.1)))
        except ray.exceptions.RayError as error:
            answers.append((node, error))
    return answers


def machine_lost(actor: Any) -> bool:
    """Whether the machine of an actor is gone, by the actor's id; True where nobody knows."""
    try:
        place = state.actor_table(actor.hex())["Address"]["NodeID"]  # Ray has no public way to ask
        return place not in {node["NodeID"] for node in live_nodes() if node["Alive"]}
    except Exception:  # no head, or one that has forgotten: then no trial is charged either
        return True


def booting() -> dict[str, set[str]]:
    """Machines by type that the autoscaler holds and that have not joined, by the names that it gives them.

    There are none without an autoscaler.
    """
    from ray.autoscaler.v2.sdk import get_cluster_status  # Ray's own, and it may change: hence the net below

    try:
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        found: dict[str, set[str]] = {}
        for node in status.pending_nodes:
            found.setdefault(node.ray_node_type_name, set()).add(node.instance_id)
        return found
    except Exception:  # what is not known is left out of the bill, and ends no study
        return {}


@contextmanager
def switches(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the time that Ray reads them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
