"""Keep the samples that pull hardest on the last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.sampling import observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("grand")
@dataclass(frozen=True)
class GraNd(ScoreSelector):
    """Keep the largest gradient norms of the last layer; `skip` sets aside a likely mislabelled tail first.

    Reference: Paul et al., "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    NeurIPS 2021, definition 2.1 (there of all weights, averaged over several networks).
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.EMBEDDINGS, Signal.ERRORS, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The gradient's norm."""
        return grand_scores(observed(signals, Signal.EMBEDDINGS), observed(signals, Signal.ERRORS))

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 FLOPs per candidate and feature, as many for the errors at most, and a sort."""
        return 4.0 * n * width + sort_cost(n)


def grand_scores(embeddings: Tensor, errors: Tensor) -> Tensor:
    """Norm of each sample's gradient by the last layer's weight and bias, in closed form.

    The gradient is the outer product e [h; 1]', whose Frobenius norm is ||e|| sqrt(||h||^2 + 1).

    Args:
        embeddings: Inputs of the last layer, h, shape (n, width).
        errors: Gradients with respect to its outputs, e, shape (n, outputs).

    Returns:
        Scores >= 0, shape (n,).
    """
    scores: Tensor = errors.norm(dim=1) * (embeddings.square().sum(1) + 1).sqrt()
    return scores
