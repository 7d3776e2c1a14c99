"""Draw samples the likelier the higher their loss stands among the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import inclusion, systematic
from autotune.sampling import observed, shuffle_cost, sort_cost
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("selective_backprop")
@dataclass(frozen=True)
class SelectiveBackprop(Selector):
    """Draw samples with chances in proportion to a power of the percentile of their loss.

    The original accepts each sample with chance CDF(loss)^beta, about 1 in beta + 1 of all. Here the budget
    says how many, so these chances are scaled to sum to it, those above 1 cut, and drawn by a systematic
    sample in random order: the size and every sample's chance are exact.

    Reference: Jiang et al., "Accelerating Deep Learning by Focusing on the Biggest Losers", arXiv:1910.00762,
    2019.

    Attributes:
        beta: How strongly high losses are preferred, in [0, 20]; 0 is plain chance.
    """

    beta: float = 2.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS})

    def __post_init__(self) -> None:
        if not 0.0 <= self.beta <= 20.0:
            raise SelectorError(f"beta must be in [0, 20], got {self.beta}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """A draw with chances by loss, in random order."""
        chances = inclusion(percentiles(observed(signals, Signal.LOSS)) ** self.beta, budget)
        order = torch.randperm(signals.n, generator=generator, device=generator.device).to(chances.device)
        return Subset.uniform(signals.ids[order[systematic(chances[order], generator)]])

    def cost(self, n: int, budget: int, width: int) -> float:
        """A draw per candidate, two sorts, and a search that costs as much as a third."""
        return shuffle_cost(n) + 3 * sort_cost(n)


def percentiles(losses: Tensor) -> Tensor:
    """Share of the samples whose loss is at most as large, the empirical CDF at each.

    Args:
        losses: Shape (n,).

    Returns:
        In [1/n, 1], float64, shape (n,); 1/n where a loss is not finite.
    """
    finite = torch.isfinite(losses)
    known = losses[finite].double().sort().values
    shares = torch.full(losses.shape, 1 / len(losses), dtype=torch.double, device=losses.device)
    if len(known):
        shares[finite] = torch.searchsorted(known, losses[finite].double(), right=True).double() / len(known)
    return shares
