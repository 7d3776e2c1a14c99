"""Keep what lies near a border between two classes."""

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
@register("margin")
@dataclass(frozen=True)
class Margin(ScoreSelector):
    """Keep the samples whose two likeliest classes are closest; labels are not looked at.

    Reference: Scheffer, Decomain and Wrobel, "Active Hidden Markov Models for Information Extraction", IDA
    2001.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.PROBABILITIES, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The closeness; targets are only asked whether this is classification."""
        labels(signals[Signal.TARGETS], "margin")
        return closeness(observed(signals, Signal.PROBABILITIES))

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 comparisons per candidate and class, and a sort; `width` is the number of classes."""
        return 2.0 * n * width + sort_cost(n)


def closeness(probabilities: Tensor) -> Tensor:
    """1 - (p1 - p2), for the two largest probabilities of each prediction; p2 is 0 where there is one class.

    Args:
        probabilities: Softmax outputs, shape (n, classes).

    Returns:
        Scores in [0, 1], shape (n,); 1 is a tie.
    """
    top = probabilities.topk(min(2, probabilities.shape[1]), dim=1).values
    return 1 - top[:, 0] + (top[:, 1] if top.shape[1] > 1 else 0)
