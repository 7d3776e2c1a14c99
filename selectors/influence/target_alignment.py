"""Keep the samples whose gradient points where the target split wants to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from autotune.numerics.influence import alignment_cost
from autotune.sampling import sort_cost
from autotune.selection import register
from autotune.signals import Signals
from autotune.targeting import TargetedSelector


@final
@register("target_alignment")
@dataclass(frozen=True)
class TargetAlignment(TargetedSelector):
    """Keep the samples on which one step lowers the loss of the target split the most, to first order.

    Only the last layer's gradients are compared, as they are.

    Reference: Killamsetty et al., "GLISTER: Generalization based Data Subset Selection for Efficient and
    Robust Learning", AAAI 2021 (its first-order gain); Pruthi et al., "Estimating Training Data Influence by
    Tracing Gradient Descent", NeurIPS 2020 (the same product, at one checkpoint).
    """

    def direction(self, signals: Signals, gradient: Tensor) -> Tensor:
        """The gradient itself."""
        return gradient

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 n o (d + 2) and a sort, for o outputs; o is not known here and taken as d, but at most 32."""
        return alignment_cost(n, width) + sort_cost(n)
