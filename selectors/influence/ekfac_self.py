"""Keep the samples that the model would forget most if it had not seen them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.curvature import curvature_cost
from autotune.numerics.influence import NOMINAL_OUTPUTS, alignment_cost
from autotune.sampling import Sampler, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import check_positive, register
from autotune.signals import Signal, Signals
from autotune.targeting import curvature


@final
@register("ekfac_self")
@dataclass(frozen=True)
class EKFACSelf(ScoreSelector):
    """Want the largest influence on the own loss, by EK-FAC on the last layer, and cover its range.

    What is unlike the rest, and what is wrongly labelled, has much of it; `skip` sets the latter aside.

    Reference: Grosse et al., "Studying Large Language Model Generalization with Influence Functions", 2023;
    Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017, section 5.4.

    Attributes:
        damping: Added to the curvature, relative to its mean over directions, above 0.
    """

    sampler: str = Sampler.COVERAGE.value
    damping: float = 3.0

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.EMBEDDINGS, Signal.ERRORS, Signal.PROBABILITIES, Signal.TARGETS}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("damping", self.damping, 3.0)

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Each gradient times the inverse curvature times itself."""
        factors = (observed(signals, signal) for signal in (Signal.EMBEDDINGS, Signal.ERRORS))
        return curvature(signals, "ekfac_self", self.damping).self_influence(*factors)

    def cost(self, n: int, budget: int, width: int) -> float:
        """6 n d^2 + 10 d^3 for d features, and a sort."""
        outputs = min(width, NOMINAL_OUTPUTS)
        return (
            curvature_cost(n, width, outputs) + 2.0 * n * width**2 + alignment_cost(n, width) + sort_cost(n)
        )
