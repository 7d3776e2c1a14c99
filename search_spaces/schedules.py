"""Learning-rate schedules, in progress (0 to 1) of a trial's horizon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from autotune.space import Choice, Dimension, Float, Scalar

WARMUP: Final = Float(0.0, 0.2)
SCHEDULES: Final = ("cosine", "linear", "constant")


def schedules(names: Sequence[str] = SCHEDULES, warmup: Dimension | Scalar = WARMUP) -> Choice:
    """The parameter `schedule`: how the learning rate falls, after a linear warm-up.

    Args:
        names: Out of `cosine` and `linear`, both down to zero, and `constant`.
        warmup: Leading share of the horizon over which the rate rises.

    >>> schedules(["cosine"], warmup=0.1)
    Choice(options={'cosine': {'warmup': Fixed(value=0.1)}})
    """
    return Choice({name: {"warmup": warmup} for name in names})
