"""Keep the samples whose influence on the target split's loss is best, with the last layer's curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.curvature import curvature_cost, last_layer_curvature
from autotune.numerics.influence import (
    NOMINAL_OUTPUTS,
    alignment_cost,
    alignment_scores,
    check_positive,
    mean_gradient,
)
from autotune.sampling import labels, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("ekfac")
@dataclass(frozen=True)
class EKFAC(ScoreSelector):
    """Keep the samples that lower the target split's loss most, by influence with EK-FAC on the last layer.

    As `target_alignment`, but directions in which the loss is steep already count less. Classes are balanced
    by default, so that those which the target split lacks most do not fill the subset.

    Reference: Grosse et al., "Studying Large Language Model Generalization with Influence Functions", 2023;
    Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017.

    Attributes:
        damping: Added to the curvature, relative to its mean over directions, above 0.
    """

    class_balanced: bool = True
    damping: float = 3.0

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
        check_positive("damping", self.damping, 3.0)

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Influence on the mean loss of the target split."""
        labels(signals[Signal.TARGETS], "ekfac")
        embeddings = observed(signals, Signal.EMBEDDINGS)
        curvature = last_layer_curvature(embeddings, observed(signals, Signal.PROBABILITIES), self.damping)
        wanted = mean_gradient(signals[Signal.TARGET_SPLIT_EMBEDDINGS], signals[Signal.TARGET_SPLIT_ERRORS])
        return alignment_scores(embeddings, observed(signals, Signal.ERRORS), curvature.solve(wanted))

    def cost(self, n: int, budget: int, width: int) -> float:
        """4 n d^2 + 10 d^3 for the curvature of d features, 2 n o d for the products, and a sort."""
        outputs = min(width, NOMINAL_OUTPUTS)
        return curvature_cost(n, width, outputs) + alignment_cost(n, width) + sort_cost(n)
