"""Keep the samples that pull hardest on the whole model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.sampling import Sampler, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("gradient_norm")
@dataclass(frozen=True)
class GradientNorm(ScoreSelector):
    """Want the largest gradients of all weights, and cover every range of norms by default.

    The squared norm is the influence of a sample on itself at one point of training: how much a step on it
    lowers its own loss. Wrong labels have the largest; `skip` sets them aside.

    Reference: Paul et al., "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    NeurIPS 2021, definition 2.1 (there averaged over several networks); Pruthi et al., "Estimating Training
    Data Influence by Tracing Gradient Descent", NeurIPS 2020, section 3 (self-influence).
    """

    sampler: str = Sampler.COVERAGE.value

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.GRADIENTS, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The gradient's norm."""
        return gradient_norms(observed(signals, Signal.GRADIENTS))

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 n k and a sort, for gradients of k numbers."""
        return 2.0 * n * width + sort_cost(n)


def gradient_norms(gradients: Tensor) -> Tensor:
    """Norm of each row; of a random projection to k numbers it is that of the gradient within 1/sqrt(2 k).

    Args:
        gradients: Shape (n, k).

    Returns:
        Scores >= 0, shape (n,).
    """
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    return norms
