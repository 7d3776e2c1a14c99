"""Cover the gradients: each candidate's is near that of a pick, which weighs as much as all it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.classwise import weighted_by_class
from autotune.numerics.influence import (
    NOMINAL_OUTPUTS,
    alignment_scores,
    at_least_single,
    finite_factors,
    mean_gradient,
)
from autotune.numerics.similarity import ROUNDING, Index, Similarities
from autotune.numerics.submodular import facility_location
from autotune.sampling import observed
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("craig")
@dataclass(frozen=True)
class Craig(Selector):
    """Pick the medoids of the last-layer gradients, each weighted by how many candidates it is nearest to.

    Facility location on the distances between gradients bounds how far the weighted gradient of the picks can
    be from that of all. Each labelled class is covered by itself and gets its proportional share.

    Reference: Mirzasoleiman, Bilmes and Leskovec, "Coresets for Data-efficient Training of Machine Learning
    Models", ICML 2020, algorithm 1.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.EMBEDDINGS, Signal.ERRORS, Signal.TARGETS})

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """Picks in their order, class by class; samples whose factors are not finite come last."""
        embeddings = at_least_single(observed(signals, Signal.EMBEDDINGS))
        errors = at_least_single(observed(signals, Signal.ERRORS))

        def choose(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
            cover = facility_location(GradientSimilarities.of(embeddings[rows], errors[rows]), count)
            return cover.picks, torch.bincount(cover.owner, minlength=count).double()

        return weighted_by_class(signals, finite_factors(embeddings, errors), budget, choose)

    def cost(self, n: int, budget: int, width: int) -> float:
        """All pairs of a class, n^2 (d + o + 4), were there only one, and as much as 2 n for each pick."""
        return float(n) * n * (width + min(width, NOMINAL_OUTPUTS) + 4) + 2.0 * n * budget


@final
@dataclass(frozen=True)
class GradientSimilarities(Similarities):
    """How near last-layer gradients e [h; 1]' are: a bound of all distances, less the distance.

    Inner products are <e, e'> (<h, h'> + 1), so that no gradient is formed.

    Attributes:
        embeddings: h, shape (n, width).
        errors: e, shape (n, outputs).
        squares: Squared norms of the gradients, shape (n,).
        bound: At least the largest distance.
    """

    embeddings: Tensor
    errors: Tensor
    squares: Tensor
    bound: float

    @classmethod
    def of(cls, embeddings: Tensor, errors: Tensor) -> GradientSimilarities:
        """From finite factors; the bound is twice the largest distance from the mean gradient."""
        squares = errors.square().sum(1) * (embeddings.square().sum(1) + 1)
        mean = mean_gradient(embeddings, errors)
        away = squares - 2 * alignment_scores(embeddings, errors, mean) + mean.square().sum()
        return cls(embeddings, errors, squares, 2 * float(away.max().clamp_min(0).sqrt()))

    @property
    def shape(self) -> tuple[int, int]:
        """Every sample may cover every sample."""
        return len(self.errors), len(self.errors)

    def block(self, candidates: Index, points: Index) -> Tensor:
        """Similarities >= 0 of some and others, shape (b, p)."""
        products = (self.embeddings[candidates] @ self.embeddings[points].T).add_(1.0)
        products.mul_(self.errors[candidates] @ self.errors[points].T)
        sizes = self.squares[candidates, None]
        squared = products.mul_(-2.0).add_(sizes).add_(self.squares[points])
        squared.masked_fill_(squared < ROUNDING * sizes, 0.0)
        return squared.sqrt_().neg_().add_(self.bound).clamp_min_(0.0)
