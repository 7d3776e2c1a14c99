"""Keep the samples with the best influence on the target split, by the last layer's exact curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.curvature import conjugate_gradients
from autotune.numerics.influence import alignment_cost, alignment_scores, check_positive, mean_gradient
from autotune.sampling import labels, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("influence_function")
@dataclass(frozen=True)
class InfluenceFunction(ScoreSelector):
    """Keep the samples that lower the target split's loss most, by the influence function of the last layer.

    As `target_alignment`, but directions in which the loss is steep already count less. Conjugate gradients
    apply the inverse of the exact Gauss-Newton matrix to the one gradient that matters, without forming it.
    Classes are balanced by default, so that those which the target split lacks most do not fill the subset.

    Reference: Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017.

    Attributes:
        damping: Added to the curvature, relative to its mean over directions, above 0. A model that was
            trained for a short time wants much.
        steps: Of conjugate gradients, at least 1; few of them damp too.
    """

    class_balanced: bool = True
    damping: float = 5.0
    steps: int = 10

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {
            Signal.EMBEDDINGS,
            Signal.ERRORS,
            Signal.PROBABILITIES,
            Signal.TARGETS,
            Signal.TARGET_SPLIT_EMBEDDINGS,
            Signal.TARGET_SPLIT_ERRORS,
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("damping", self.damping, 5.0)
        if self.steps < 1:
            raise SelectorError(f"steps must be at least 1, got {self.steps}; try 10")

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Influence on the mean loss of the target split."""
        labels(signals[Signal.TARGETS], "influence_function")
        embeddings, probabilities = (
            observed(signals, signal) for signal in (Signal.EMBEDDINGS, Signal.PROBABILITIES)
        )
        wanted = mean_gradient(signals[Signal.TARGET_SPLIT_EMBEDDINGS], signals[Signal.TARGET_SPLIT_ERRORS])
        solved = conjugate_gradients(embeddings, probabilities, wanted[None], self.damping, self.steps)[0]
        return alignment_scores(embeddings, observed(signals, Signal.ERRORS), solved.to(wanted.dtype))

    def cost(self, n: int, budget: int, width: int) -> float:
        """4 n o (d + 2) in each step and 2 n o (d + 2) for the scores, and a sort."""
        return alignment_cost(n, width) * (2 * self.steps + 1) + sort_cost(n)
