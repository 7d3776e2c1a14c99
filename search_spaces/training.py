"""Settings of the ready training loop that most searches want."""

from __future__ import annotations

from autotune.errors import SpaceError
from autotune.search_spaces.optimizers import sgd_or_adamw
from autotune.search_spaces.schedules import schedules
from autotune.space import Choice, Dimension, Float, Scalar


def training() -> dict[str, Dimension | Scalar]:
    """Optimizer, schedule and batch size, to spread into a space: `SearchSpace({**training(), ...})`."""
    return {"optimizer": sgd_or_adamw(), "schedule": schedules(), "batch_size": batch_size()}


def batch_size(low: int = 32, high: int = 256) -> Choice:
    """The parameter `batch_size`: powers of two from `low` to `high`, each at least 1.

    >>> batch_size(16, 100).values
    (16, 32, 64)
    """
    sizes = [2**power for power in range(max(high, 1).bit_length()) if low <= 2**power <= high]
    if not sizes:
        raise SpaceError(f"no power of two lies in [low={low}, high={high}]; widen the range")
    return Choice(sizes)


def weight_decay(low: float = 1e-6, high: float = 1e-2) -> Float:
    """The parameter `weight_decay`, where it does not depend on the optimizer."""
    return Float(low, high, log=True)


def label_smoothing(high: float = 0.2) -> Float:
    """The parameter `label_smoothing`: share of the target spread over all classes."""
    return Float(0.0, high)


def grad_clip(*norms: float) -> Choice:
    """The parameter `grad_clip`: largest norm of the gradient, 0 for no limit; 0 or 1 unless given.

    >>> grad_clip().values
    (0.0, 1.0)
    """
    return Choice(norms or (0.0, 1.0))
