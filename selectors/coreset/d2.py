"""Hard, and unlike what was taken: difficulty passed along a graph of neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.features import usable
from autotune.numerics.neighbours import CELL, EXACT, PROBES, Neighbours, nearest
from autotune.numerics.submodular import largest_first
from autotune.sampling import observed
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("d2")
@dataclass(frozen=True)
class D2(Selector):
    """Pick the samples that are hard among hard neighbours, each pick lowering the score of its neighbours.

    Difficulty is the loss. The order is nested. Equal scores go to the lowest sample id; samples whose
    features or loss are not finite come last.

    Reference: Maharana, Yadav and Bansal, "D2 Pruning: Message Passing for Balancing Diversity and Difficulty
    in Data Pruning", ICLR 2024.

    Attributes:
        neighbours: Of each sample in the graph, at least 1.
        gather: How fast a neighbour's say in a score falls with the squared distance, in units of the mean
            one in the graph, at least 0.
        spread: The same of a pick's say against its neighbours; small ones make for diversity.
    """

    neighbours: int = 10
    gather: float = 1.0
    spread: float = 1.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES, Signal.LOSS})
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise SelectorError(f"neighbours must be at least 1, got {self.neighbours}")
        for name in ("gather", "spread"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise SelectorError(f"{name} must be finite and at least 0, got {getattr(self, name)}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of the order in which messages are passed back."""
        if budget == signals.n:
            return Subset.uniform(signals.ids)
        positions, features = usable(signals)
        losses = observed(signals, Signal.LOSS)[positions]
        known = torch.isfinite(losses)
        positions, features, losses = positions[known], features[known], losses[known]
        left = torch.ones(signals.n, dtype=torch.bool, device=positions.device)
        if len(positions) > 1:
            near = nearest(features, min(self.neighbours, len(positions) - 1), generator)
            scores = gathered(near, losses, self.gather)
            positions = positions[passed_back(near, scores, min(budget, len(positions)), self.spread)]
        left[positions] = False
        return Subset.uniform(signals.ids[torch.cat([positions, left.nonzero().squeeze(1)])[:budget]])

    def cost(self, n: int, budget: int, width: int) -> float:
        """The distances of the graph, then a few operations on each of its edges."""
        seen = n if n <= EXACT else CELL * PROBES
        return float(n) * (seen * (2 * width + 10) + 10 * self.neighbours) if budget < n else 0.0


def gathered(near: Neighbours, difficulty: Tensor, decay: float) -> Tensor:
    """Each sample's difficulty and, by nearness, that of its neighbours (forward messages, equation 4).

    Args:
        near: Neighbours of n samples.
        difficulty: Finite, shape (n,); shifted where any is negative, so that none is.
        decay: Of exp(-decay * squared distance / mean squared distance), at least 0.

    Returns:
        At least 0, float64, shape (n,).
    """
    hard = difficulty.double() - difficulty.double().min().clamp_max(0.0)
    return hard + (_nearness(near, decay) * hard[near.ids]).sum(1)


def passed_back(near: Neighbours, scores: Tensor, budget: int, decay: float) -> Tensor:
    """Take the highest score, lower its neighbours' by what it says of them, and again (reverse messages).

    Args:
        near: Neighbours of n samples.
        scores: At least 0, shape (n,).
        budget: How many to take, in [1, n].
        decay: As in `gathered`.

    Returns:
        Distinct positions, shape (budget,), with ties to the lowest.
    """
    ids, weights = near.ids.cpu().numpy(), _nearness(near, decay).cpu().numpy()
    values = scores.cpu().double().numpy().copy()
    picks = []
    for pick, value in largest_first(values, budget):
        picks.append(pick)
        values[ids[pick]] -= weights[pick] * max(value, 0.0)
    return torch.tensor(picks, device=scores.device)


def _nearness(near: Neighbours, decay: float) -> Tensor:
    mean = near.squared.double().mean()
    return torch.exp(-decay * near.squared.double() / mean) if mean > 0 else torch.ones_like(near.squared)
