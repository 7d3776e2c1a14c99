"""Keep what the model is least sure of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.sampling import labels, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("least_confidence")
@dataclass(frozen=True)
class LeastConfidence(ScoreSelector):
    """Keep the samples whose likeliest class is the least likely; labels are not looked at.

    Reference: Lewis and Gale, "A Sequential Algorithm for Training Text Classifiers", SIGIR 1994.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.PROBABILITIES, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The doubt; targets are only asked whether this is classification."""
        labels(signals[Signal.TARGETS], "least_confidence")
        return doubt(observed(signals, Signal.PROBABILITIES))

    def cost(self, n: int, budget: int, width: int) -> float:
        """A comparison per candidate and class, and a sort; `width` is the number of classes."""
        return 1.0 * n * width + sort_cost(n)


def doubt(probabilities: Tensor) -> Tensor:
    """1 - max p of each prediction.

    Args:
        probabilities: Softmax outputs, shape (n, classes).

    Returns:
        Scores in [0, 1 - 1/classes], shape (n,).
    """
    return 1 - probabilities.amax(1)
