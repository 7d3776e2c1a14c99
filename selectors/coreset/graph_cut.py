"""Like the many, unlike each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.features import ordered
from autotune.numerics.similarity import Kernel, checked, similarities
from autotune.numerics.submodular import GraphCut, naive
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("graph_cut")
@dataclass(frozen=True)
class GraphCutSelector(Selector):
    """Pick, again and again, the sample most like all others, less its likeness to those picked.

    The order is nested, and nothing is drawn. Equal gains go to the lowest sample id; samples whose features
    are not finite come last.

    Reference: Iyer, Khargonkar, Bilmes and Asnani, "Submodular Combinatorial Information Measures with
    Applications in Machine Learning", ALT 2021.

    Attributes:
        redundancy: Price of likeness among the picks, at least 0. Up to 1/2 the objective is monotone and the
            picks reach 1 - 1/e of the best, but a small subset then hardly feels it: about 1 / (2 * fraction)
            balances both.
        kernel: What alike means: `cosine`, `rbf` or `euclidean`; see `autotune.numerics.similarity.Kernel`.
    """

    redundancy: float = 5.0
    kernel: str = Kernel.COSINE.value

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES})
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.redundancy < math.inf:
            raise SelectorError(f"redundancy must be finite and at least 0, got {self.redundancy}")
        checked(self.kernel)

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of the greedy order."""

        def order(features: Tensor, count: int) -> Tensor:
            return naive(GraphCut(similarities(features, self.kernel), self.redundancy), count).picks

        return ordered(signals, budget, order)

    def cost(self, n: int, budget: int, width: int) -> float:
        """One row of similarities per pick; all of them once, but for the cosine."""
        if budget == n:
            return 0.0
        once = 2.0 * n * width if self.kernel == Kernel.COSINE else 2.0 * n * n * width
        return once + budget * n * (2.0 * width + 4.0)
