"""Keep the ordinary: samples as far from the middle of their class as most are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.sampling import Sampler, labels, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("moderate")
@dataclass(frozen=True)
class Moderate(ScoreSelector):
    """Score by the distance to the mean of the own class, and keep what is around the median.

    Neither the typical samples, which repeat each other, nor the odd ones, some of which are mislabelled.

    Reference: Xia, Liu, Yu, Shen, Han and Liu, "Moderate Coreset: A Universal Method of Data Selection for
    Real-world Data-efficient Deep Learning", ICLR 2023.
    """

    sampler: str = Sampler.MIDDLE.value

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Distance to the mean of the class."""
        features = observed(signals, Signal.FEATURES).flatten(1).float()
        return class_distances(features, labels(signals[Signal.TARGETS], "moderate"))

    def cost(self, n: int, budget: int, width: int) -> float:
        """Sums and distances, then a sort."""
        return 5.0 * n * width + sort_cost(n) if budget < n else 0.0


def class_distances(features: Tensor, classes: Tensor) -> Tensor:
    """Euclidean distance of each sample to the mean of its class.

    Args:
        features: Shape (n, d); a sample with a value that is not finite counts in no mean.
        classes: Class ids, any integers, shape (n,).

    Returns:
        Shape (n,), at least 0; NaN where the features are not finite.
    """
    finite = torch.isfinite(features).all(1)
    known, owner = torch.unique(classes, return_inverse=True)
    clean = features.masked_fill(~finite[:, None], 0.0)
    sizes = torch.bincount(owner[finite], minlength=len(known)).clamp_min(1).to(features.dtype)
    means = features.new_zeros(len(known), features.shape[1]).index_add_(0, owner, clean) / sizes[:, None]
    distances: Tensor = torch.linalg.vector_norm(clean - means[owner], dim=1)
    return distances.masked_fill(~finite, torch.nan)
