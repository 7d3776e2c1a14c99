"""Several trials on one machine, each within its part of a GPU's memory and on its cores."""

from __future__ import annotations

import math
import os
import sys
from typing import Final, final

import ray

GPU: Final = "GPU"  # Ray's name


def keep_within_share() -> None:
    """Hide GPUs from a process that was given none; bound the memory of one that was given a part.

    Ray shows all GPUs of a machine to who asks for none, and `cuda` would be the first one for every trial.
    One that outgrows its part fails by itself (`memory`), where it would have taken memory that its
    neighbours count on, and is begun again in a larger part (`Shares`). What CUDA itself needs, some hundred
    MiB per process, comes on top.
    """
    share = _given(GPU, 0.0)
    if share == 0.0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read when CUDA is first used
    elif share < 1.0:
        import torch  # slow, and not needed by whoever trains on CPUs with something else

        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(share)


def keep_to_cores() -> None:
    """Have torch use as many threads as this process was given cores, unless it is imported later anyway.

    Ray says how many in OMP_NUM_THREADS when an actor begins, and torch reads that when it is imported: in a
    process that was ready before it was anybody's, a trial would have as many threads as the node has cores.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        told = os.environ.get("OMP_NUM_THREADS", "")
        torch.set_num_threads(max(1, int(told) if told.isdigit() else math.floor(_given("CPU", 1.0))))


def _given(resource: str, usual: float) -> float:
    """How much of a resource this process was given; `usual` where Ray does not say."""
    given = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]  # Ray's own
    return float(given.get(resource, usual))


@final
class Shares:
    """Which part of a GPU each trial is given. One that runs out of memory in its part gets twice as much.

    Args:
        first: What every trial is given at first; only a part, above 0 and below 1, can grow.
    """

    def __init__(self, first: float) -> None:
        self._first = first
        self._grown: dict[int, float] = {}  # by trial

    def of(self, trial: int) -> float | None:
        """The part of a trial that has outgrown the first one; None of all others."""
        return self._grown.get(trial)

    def grow(self, trial: int) -> str | None:
        """Give a trial more, up to a whole GPU; in words, or None when it has that already, or no part."""
        before = self._grown.get(trial, self._first)
        if not 0.0 < before < 1.0:
            return None
        self._grown[trial] = after = min(1.0, 2.0 * before)
        return f"out of memory in {before:g} of a GPU; it goes on with {after:g}"
