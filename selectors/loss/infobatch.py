"""Drop some of what is already learnt, and weight up the rest of it so that nothing is biased."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.sampling import shuffle_cost, sort_cost
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("infobatch")
@dataclass(frozen=True)
class InfoBatch(Selector):
    """Keep all samples of high loss, and a random part of the others with weights that make up for the rest.

    With m others of which k are drawn without replacement, each drawn one weighs m/k. The size is exact and k
    is fixed before the draw, so E[weight] is the same for every sample in strata of any size (the original
    rounds the number it drops and not the weight: three items then sum to 2/3).

    Reference: Qin et al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning",
    ICLR 2024.

    Attributes:
        floor: Least share of the budget that goes to the samples of low loss, in (0, 1]. The threshold is the
            mean loss, as published, where the budget allows; otherwise it rises until the floor is kept. At 1
            every sample is drawn alike. It bounds the weights: at a budget of b out of n, by n / (floor b).
    """

    floor: float = 0.5

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS})
    unbiased: ClassVar[bool] = True
    tolerates_gaps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0.0 < self.floor <= 1.0:
            raise SelectorError(f"floor must be in (0, 1], got {self.floor}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """All of the high stratum with weight 1, and a draw from the low one with weight m/k."""
        losses = signals.reading(Signal.LOSS)
        drawn_at_least = min(budget, max(1, round(self.floor * budget)))
        high = high_stratum(losses.values, losses.covered, budget - drawn_at_least)
        kept, others = high.nonzero().squeeze(1), (~high).nonzero().squeeze(1)
        k = budget - len(kept)
        order = torch.randperm(len(others), generator=generator, device=generator.device)
        drawn = others[order[:k].to(others.device)]
        weights = torch.cat([torch.ones(len(kept)), torch.full((k,), len(others) / k)])
        return Subset.weighted(signals.ids[torch.cat([kept, drawn])], weights.to(signals.ids.device))

    def cost(self, n: int, budget: int, width: int) -> float:
        """Mean and threshold, a draw, and a sort of the losses."""
        return 4.0 * n + shuffle_cost(n) + sort_cost(n)


def high_stratum(losses: Tensor, covered: Tensor, limit: int) -> Tensor:
    """Which samples are kept for sure: losses at or above a threshold, at most `limit` of them.

    Samples without a loss are unknown, thus informative: they are kept too where all of them fit, and
    otherwise drawn like the others. Equal losses stay together, so chance and order decide nothing here:
    where the threshold would split them, all of them are drawn instead. +inf counts as high; NaN as low.

    Args:
        losses: Per-sample losses, shape (n,); undefined where not covered.
        covered: Whether a sample has a loss, shape (n,).
        limit: How many may be kept, in [0, n).

    Returns:
        A mask, shape (n,).
    """
    unseen = ~covered
    kept = unseen if int(unseen.sum()) <= limit else torch.zeros_like(unseen)
    room = limit - int(kept.sum())
    known = losses[covered & ~losses.isnan()].double()
    finite = known[torch.isfinite(known)]
    if room == 0 or len(known) == 0:
        return kept
    mean = finite.mean() if len(finite) else known.new_tensor(torch.inf)
    seen_high = covered & (losses.double() >= mean)  # NaN compares false
    if int(seen_high.sum()) > room:
        values = known.sort(descending=True).values
        seen_high &= losses.double() > values[room]  # strictly above the first that does not fit
    return kept | seen_high
