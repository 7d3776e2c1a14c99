"""What every worker process is given, and what becomes of it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ray

from autotune.cluster.live.connection import live_nodes, slots
from autotune.cluster.live.reach import Mark
from autotune.cluster.trials.sharing import keep_to_cores, keep_within_share
from autotune.errors import ConfigurationError
from autotune.work import Worker, Workload

_PICKLE_LIMIT: Final = 16 * 2**20
_MEASURE_S: Final = 600.0  # a machine may have to boot first


@dataclass(frozen=True)
class Outfit:
    """What every worker process is given.

    Attributes:
        workload: Pickled.
        watchdog_s: Seconds without progress after which a trial is ended.
        mark: What the driver wrote; this node may have come after all others were asked whether they see it.
        processes: That train a trial together.
    """

    workload: bytes
    watchdog_s: float | None = None
    mark: Mark | None = None
    processes: int = 1


def pickled(workload: Workload) -> bytes:
    """A workload as Ray's workers read it; the arrays of its `bulk` are not part of it.

    Raises:
        ConfigurationError: When it cannot be pickled, or is too large to send to every worker.
    """
    try:
        payload: bytes = ray.cloudpickle.dumps(workload)  # type: ignore[no-untyped-call]  # Ray's own
    except Exception as error:
        raise ConfigurationError(
            f"the task cannot be sent to workers: {type(error).__name__}: {error}; define the model factory "
            "and what it uses at the top of a module"
        ) from error
    if len(payload) > _PICKLE_LIMIT:
        raise ConfigurationError(
            f"the task pickles to {len(payload) / 2**20:.0f} MiB, more than {_PICKLE_LIMIT // 2**20} MiB; "
            "large arrays belong into its data set, which every node gets only once"
        )
    return payload


def worker_of(outfit: Outfit, bulk: Any) -> Worker:
    """The workload's worker in this process."""
    keep_within_share()
    keep_to_cores()
    workload: Workload = ray.cloudpickle.loads(outfit.workload)
    return workload.worker(bulk)


def measured_lanes(outfit: Outfit, bulk: Any, resources: Mapping[str, float], most: int) -> tuple[int, str]:
    """How many lanes a worker should have, and why, measured in a process like those of trials.

    Args:
        outfit: Of the study.
        bulk: A reference to the arrays.
        resources: Of a worker.
        most: Lanes that can be of use.
    """
    others = dict(resources)
    options = {"num_cpus": others.pop("CPU", 0), "num_gpus": others.pop("GPU", 0)}
    options |= {"memory": others.pop("memory")} if "memory" in others else {}
    beside = max((slots([node], resources) for node in live_nodes()), default=1)
    part = min(1.0, options["num_gpus"]) or 1.0 / max(1, beside)  # of a GPU, or of the machine
    asked = ray.remote(_lanes_worth).options(**options, resources=others, max_retries=1)
    answer = asked.remote(outfit, bulk, most, part)
    try:
        found: tuple[int, str] = ray.get(answer, timeout=_MEASURE_S)
    except ray.exceptions.RayError as error:
        ray.cancel(answer, force=True)
        return 1, f"it could not be measured: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return found


def _lanes_worth(outfit: Outfit, bulk: Any, most: int, part: float) -> tuple[int, str]:
    return worker_of(outfit, bulk).lanes_worth(most, part)
