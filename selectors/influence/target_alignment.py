"""Keep the samples whose gradient points where the target split wants to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.influence import alignment_cost, alignment_scores, mean_gradient
from autotune.sampling import observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("target_alignment")
@dataclass(frozen=True)
class TargetAlignment(ScoreSelector):
    """Keep the samples on which one step lowers the loss of the target split the most, to first order.

    Only the last layer's gradients are compared, and never formed: they are outer products. Classes are
    balanced by default, so that those which the target split lacks most do not fill the subset.

    Reference: Killamsetty et al., "GLISTER: Generalization based Data Subset Selection for Efficient and
    Robust Learning", AAAI 2021 (its first-order gain); Pruthi et al., "Estimating Training Data Influence by
    Tracing Gradient Descent", NeurIPS 2020 (the same product, at one checkpoint).
    """

    class_balanced: bool = True

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {
            Signal.EMBEDDINGS,
            Signal.ERRORS,
            Signal.TARGETS,
            Signal.TARGET_SPLIT_EMBEDDINGS,
            Signal.TARGET_SPLIT_ERRORS,
        }
    )

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Inner products with the mean gradient of the target split."""
        return alignment_scores(
            observed(signals, Signal.EMBEDDINGS),
            observed(signals, Signal.ERRORS),
            mean_gradient(signals[Signal.TARGET_SPLIT_EMBEDDINGS], signals[Signal.TARGET_SPLIT_ERRORS]),
        )

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 n o (d + 2) and a sort, for o outputs; o is not known here and taken as d, but at most 32."""
        return alignment_cost(n, width) + sort_cost(n)
