"""Span the space: samples that the ones picked before say least about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.errors import SelectorError, unknown
from autotune.features import ordered
from autotune.numerics.similarity import Kernel, similarities
from autotune.numerics.submodular import LogDet, naive
from autotune.selection import Selector, Subset, check_positive, register
from autotune.signals import Signal, Signals

KERNELS: Final = (
    Kernel.COSINE.value,
    Kernel.RBF.value,
)  # those that are positive semi-definite, with 1 for itself


@final
@register("log_det")
@dataclass(frozen=True)
class LogDetSelector(Selector):
    """Pick, again and again, the sample of largest variance given those picked: the likeliest set of a DPP.

    The order is nested, and nothing is drawn. Equal gains go to the lowest sample id; samples whose features
    are not finite come last.

    Reference: Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
    Recommendation Diversity", NeurIPS 2018; Kulesza and Taskar, "Determinantal Point Processes for Machine
    Learning", 2012.

    Attributes:
        ridge: Variance that no pick explains, above 0; likenesses are at most 1. Picks less than that apart
            are no news.
        kernel: What alike means: `cosine` or `rbf` (`autotune.numerics.similarity.Kernel`). The cosine has as
            many directions as features have columns, and once they are spanned the ridge measures the rest.
        memory_gib: For budget x candidates numbers, above 0; a selection that needs more is refused.
    """

    ridge: float = 0.01
    kernel: str = Kernel.RBF.value
    memory_gib: float = 2.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES})
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("ridge", self.ridge, 0.01)
        check_positive("memory_gib", self.memory_gib, 2.0)
        if self.kernel not in KERNELS:
            raise SelectorError(unknown("positive semi-definite kernel", str(self.kernel), KERNELS))

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of the greedy order."""

        def order(features: Tensor, count: int) -> Tensor:
            given = similarities(features, self.kernel)
            return naive(LogDet(given, count, self.ridge, self.memory_gib), count).picks

        return ordered(signals, budget, order)

    def cost(self, n: int, budget: int, width: int) -> float:
        """Per pick one row of similarities, and one of the factor from all rows before it."""
        return budget * n * (2.0 * width + budget + 8.0) if budget < n else 0.0
