"""Keep what the model spreads its belief over."""

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
@register("entropy")
@dataclass(frozen=True)
class Entropy(ScoreSelector):
    """Keep the samples whose prediction is the most uncertain, by entropy; labels are not looked at.

    Reference: Settles, "Active Learning Literature Survey", Technical Report 1648, University of
    Wisconsin-Madison, 2009 (uncertainty sampling); Coleman et al., "Selection via Proxy: Efficient Data
    Selection for Deep Learning", ICLR 2020 (for training subsets).
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.PROBABILITIES, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The entropy; targets are only asked whether this is classification."""
        labels(signals[Signal.TARGETS], "entropy")
        return entropies(observed(signals, Signal.PROBABILITIES))

    def cost(self, n: int, budget: int, width: int) -> float:
        """3 FLOPs per candidate and class, and a sort; `width` is the number of classes."""
        return 3.0 * n * width + sort_cost(n)


def entropies(probabilities: Tensor) -> Tensor:
    """Entropy -sum p log p of each prediction, in nats; 0 log 0 is 0.

    Args:
        probabilities: Softmax outputs, shape (n, classes).

    Returns:
        Scores in [0, log classes], shape (n,); higher is less certain.
    """
    spread: Tensor = torch.special.entr(probabilities).sum(1)
    return spread
