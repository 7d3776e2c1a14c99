"""What every launcher sets alike: Ray's switches, and how Ray is started."""

from __future__ import annotations

import shlex
from typing import Final

from autotune.cluster.description.places import AWS, Local
from autotune.cluster.description.spec import ClusterSpec, Gcs, Head
from autotune.errors import ConfigurationError

CHECKS: Final = 3  # unanswered in a row, of a node that is given up; Ray's default is 5
CHECKS_EVERY_S: Final = 1  # at least; 3
HEALTH: Final = {  # a node that vanished is noticed within seconds; Ray's defaults take a minute
    "RAY_object_manager_pull_timeout_ms": "250",  # nor is data waited for that was to come from there
    "RAY_health_check_period_ms": str(1000 * CHECKS_EVERY_S),
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": str(CHECKS),
}
WARM: Final = {  # as many processes as a node has CPUs wait for trials, with what they import
    "RAY_enable_worker_prestart": "1",
    "RAY_preload_python_modules": "autotune.cluster.trials.trainable,autotune.training.workload",
}
RECONNECT: Final = "gcs_rpc_server_reconnect_timeout_s"
RECONNECT_S: Final = 300  # a head that comes back within this finds its nodes and drivers waiting
LOOPBACK: Final = "127.0.0.1"
PORT: Final = 6379
DASHBOARD_PORT: Final = 8265


def switches(spec: ClusterSpec) -> dict[str, str]:
    """Environment of every process: authentication on, telemetry off, faults noticed early."""
    recovery = spec.nodes.recovery
    found = {
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        **HEALTH,
        **({} if isinstance(spec.where, Local) else WARM),  # a laptop has better uses for its memory
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(recovery.drain_s),
    }
    if isinstance(spec.where, AWS):
        found["AWS_REGION"] = spec.where.region  # of the storage, unless its address names another one
    if recovery.gcs is not Gcs.MEMORY:
        found[f"RAY_{RECONNECT}"] = str(RECONNECT_S)
    return found


def head_of(spec: ClusterSpec) -> Head:
    """The head's description, which clouds and Kubernetes need.

    Raises:
        ConfigurationError: When there is none.
    """
    if spec.nodes.head is None:
        raise ConfigurationError(
            f"nodes.head is missing; a cluster on {spec.where.tag} has a head of its own, describe it"
        )
    return spec.nodes.head


def header(spec: ClusterSpec, what: str) -> str:
    """The comment that a rendered file begins with."""
    return (
        f"# {what} of {spec.name!r}, rendered by `autotune cluster render`: change the spec, not this file.\n"
    )


def shell_path(path: str) -> str:
    """A path as a word of a shell, whose `~` still means the home there.

    >>> print(shell_path("~/my venv"), shell_path("/opt/venv"))
    "$HOME"/'my venv' /opt/venv
    """
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


def activation(spec: ClusterSpec) -> str:
    """Shell words that turn to the image's virtual environment; none where there is none."""
    return f". {shell_path(spec.image.name)}/bin/activate; " if spec.image.name is not None else ""


def whole(amount: float) -> int:
    """An amount that the spec's rules have found whole.

    >>> whole(2.0)
    2
    """
    return int(amount)
