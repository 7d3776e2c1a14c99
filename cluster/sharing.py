"""Several trials on one GPU, each within its part of the memory."""

from __future__ import annotations

import ray


def keep_within_share() -> None:
    """Bound this process's GPU memory by the part of a GPU that it was given; nothing to do with a whole one.

    A trial that outgrows its part then fails by itself (`memory`), where it would have taken memory that its
    neighbours count on. What CUDA itself needs, some hundred MiB per process, comes on top.
    """
    given = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]  # Ray's own
    share = float(given.get("GPU", 0.0))
    if 0.0 < share < 1.0:
        import torch  # slow, and not needed by whoever trains on CPUs with something else

        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(share)
