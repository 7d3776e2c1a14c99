"""Keep the samples with the best influence on the target split, by the last layer's exact curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.curvature import conjugate_gradients
from autotune.numerics.influence import alignment_cost
from autotune.sampling import sort_cost
from autotune.selection import check_positive, register
from autotune.signals import Signal, Signals
from autotune.targeting import AIM, TargetedSelector, classifier


@final
@register("influence_function")
@dataclass(frozen=True)
class InfluenceFunction(TargetedSelector):
    """Keep the samples that lower the target split's loss most, by the influence function of the last layer.

    As `target_alignment`, but directions in which the loss is steep already count less. Conjugate gradients
    apply the inverse of the exact Gauss-Newton matrix to the one gradient that matters, without forming it.

    Reference: Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017.

    Attributes:
        damping: Added to the curvature, relative to its mean over directions, above 0. A model that was
            trained for a short time wants much.
        steps: Of conjugate gradients, at least 1; few of them damp too.
    """

    damping: float = 5.0
    steps: int = 10

    needs: ClassVar[frozenset[Signal]] = AIM | {Signal.PROBABILITIES}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("damping", self.damping, 5.0)
        if self.steps < 1:
            raise SelectorError(f"steps must be at least 1, got {self.steps}; try 10")

    def direction(self, signals: Signals, gradient: Tensor) -> Tensor:
        """The gradient, times the inverse curvature: scores are the influence on the target split's loss."""
        factors = classifier(signals, "influence_function")
        return conjugate_gradients(*factors, gradient[None], self.damping, self.steps)[0].to(gradient.dtype)

    def cost(self, n: int, budget: int, width: int) -> float:
        """4 n o (d + 2) in each step and 2 n o (d + 2) for the scores, and a sort."""
        return alignment_cost(n, width) * (2 * self.steps + 1) + sort_cost(n)
