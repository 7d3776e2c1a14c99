"""Keep the mean: samples whose average stays as near to that of all as it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import normalize

from autotune.features import ordered
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("herding")
@dataclass(frozen=True)
class Herding(Selector):
    """Pick, again and again, the sample that makes up best for what the mean of those picked still lacks.

    Features are scaled to length 1, as the method assumes. The order is nested, and nothing is drawn. Equal
    samples go by id; samples whose features are not finite come last.

    Reference: Welling, "Herding Dynamical Weights to Learn", ICML 2009.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES})
    nested: ClassVar[bool] = True

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of the herding order."""
        return ordered(signals, budget, lambda features, k: herd(normalize(features, eps=1e-30), k))

    def cost(self, n: int, budget: int, width: int) -> float:
        """One product of all candidates with a vector per pick."""
        return 2.0 * n * width * (budget + 2) if budget < n else 0.0


def herd(features: Tensor, budget: int) -> Tensor:
    """Greedy order in which sums of features follow multiples of their mean.

    The weights w start at the mean, and each step takes argmax <w, x>, then w += mean - x. Where all features
    have one length, that is the pick with which the mean of the picks comes nearest to the mean of all.

    Args:
        features: Finite, shape (n, d).
        budget: How many to pick, in [1, n].

    Returns:
        Distinct positions, shape (budget,), with ties to the lowest.
    """
    mean = features.mean(0)
    weights = mean.clone()
    barred = features.new_zeros(len(features))
    picks = torch.empty(budget, dtype=torch.long, device=features.device)
    for place in range(budget):
        pick = torch.addmv(barred, features, weights).argmax()
        picks[place] = pick
        barred[pick] = -torch.inf
        weights += mean - features[pick]
    return picks
