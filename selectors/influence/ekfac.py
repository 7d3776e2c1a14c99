"""Keep the samples whose influence on the target split's loss is best, with the last layer's curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from autotune.numerics.curvature import curvature_cost
from autotune.numerics.influence import NOMINAL_OUTPUTS, alignment_cost
from autotune.sampling import sort_cost
from autotune.selection import check_positive, register
from autotune.signals import Signal, Signals
from autotune.targeting import AIM, TargetedSelector, curvature


@final
@register("ekfac")
@dataclass(frozen=True)
class EKFAC(TargetedSelector):
    """Keep the samples that lower the target split's loss most, by influence with EK-FAC on the last layer.

    As `target_alignment`, but directions in which the loss is steep already count less.

    Reference: Grosse et al., "Studying Large Language Model Generalization with Influence Functions", 2023;
    Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017.

    Attributes:
        damping: Added to the curvature, relative to its mean over directions, above 0.
    """

    damping: float = 3.0

    needs: ClassVar[frozenset[Signal]] = AIM | {Signal.PROBABILITIES}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("damping", self.damping, 3.0)

    def direction(self, signals: Signals, gradient: Tensor) -> Tensor:
        """The gradient, times the inverse curvature: scores are the influence on the target split's loss."""
        return curvature(signals, "ekfac", self.damping).solve(gradient)

    def cost(self, n: int, budget: int, width: int) -> float:
        """4 n d^2 + 10 d^3 for the curvature of d features, 2 n o d for the products, and a sort."""
        outputs = min(width, NOMINAL_OUTPUTS)
        return curvature_cost(n, width, outputs) + alignment_cost(n, width) + sort_cost(n)
