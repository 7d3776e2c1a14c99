"""A random subset in which every class has its part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError, unknown
from autotune.numerics.draws import shuffled_within, systematic
from autotune.sampling import class_ids, shuffle_cost, sort_cost
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


class Allocation(StrEnum):
    """How a budget is split over strata."""

    PROPORTIONAL = "proportional"  # to their sizes
    BALANCED = "balanced"  # alike, and what a small one cannot take goes to the others


@final
@register("stratified")
@dataclass(frozen=True)
class Stratified(Selector):
    """Draw a new random subset in which each class keeps its share, or all classes have the same.

    A class's number is its part of the budget rounded up or down by chance, so that on average it is exact.
    Proportional, every sample is equally likely: no bias, and less noise than plain chance. Balanced, samples
    of small classes are likelier, on purpose and without weights that would undo it.

    Attributes:
        allocation: `proportional` or `balanced`.
        bins: Where the target is one real number: quantile bins that stand for classes, at least 1. Where it
            is several, all samples are one stratum, which is plain chance.
    """

    allocation: str = Allocation.PROPORTIONAL.value
    bins: int = 10

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.TARGETS})

    def __post_init__(self) -> None:
        known = [allocation.value for allocation in Allocation]
        if self.allocation not in known:
            raise SelectorError(unknown("allocation", str(self.allocation), known))
        if self.bins < 1:
            raise SelectorError(f"bins must be at least 1, got {self.bins}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """A draw along the strata."""
        stratum = strata(signals[Signal.TARGETS], self.bins)
        sizes = torch.bincount(stratum).double()
        balanced = self.allocation == Allocation.BALANCED
        parts = level(sizes, budget) if balanced else sizes * (budget / signals.n)
        order = shuffled_within(stratum, generator)
        drawn = order[systematic((parts / sizes)[stratum[order]], generator)]
        return Subset.uniform(signals.ids[drawn])

    def cost(self, n: int, budget: int, width: int) -> float:
        """A draw per candidate, and two sorts."""
        return shuffle_cost(n) + 2 * sort_cost(n)


def level(sizes: Tensor, budget: int) -> Tensor:
    """Parts of a budget that are equal, but for strata that are smaller and taken whole.

    Args:
        sizes: Of the strata, shape (strata,), above 0.
        budget: At most their sum.

    Returns:
        min(size, c) for the c at which they sum to the budget, shape (strata,).
    """
    ascending = sizes.sort().values
    others = torch.arange(len(sizes), 0, -1, device=sizes.device)  # as large or larger
    equal = (budget - (ascending.cumsum(0) - ascending)) / others  # if all that are smaller are taken whole
    return sizes.minimum(equal[int((equal <= ascending).nonzero()[0])])


def strata(targets: Tensor, bins: int) -> Tensor:
    """The stratum of each sample: its class, the quantile bin of its real target, or 0 for all.

    Bins are of equal size within one; equal targets may be split, the lower ids first, and NaN is highest.

    Args:
        targets: Class ids, shape (n,); or real numbers, shape (n,), (n, 1) or (n, outputs).
        bins: How many for real numbers; where there are fewer samples, each is its own.

    Returns:
        Integers from 0 with no gaps, shape (n,).
    """
    classes = class_ids(targets)
    n = len(targets)
    stratum: Tensor
    if classes is not None:
        _, stratum = torch.unique(classes, return_inverse=True)
        return stratum
    stratum = torch.zeros(n, dtype=torch.long, device=targets.device)
    if targets.numel() == n:
        stratum[targets.reshape(n).argsort(stable=True)] = (
            torch.arange(n, device=targets.device) * min(bins, n) // n
        )
    return stratum
