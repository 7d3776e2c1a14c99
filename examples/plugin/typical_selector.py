"""A selector from another package: samples that are typical of their class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.sampling import labels, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("typical")
@dataclass(frozen=True)
class Typical(ScoreSelector):
    """Keep the samples whose features are nearest to the mean of their class."""

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The nearer to the mean, the higher."""
        features = observed(signals, Signal.FEATURES).flatten(1)
        return -distance_to_class_mean(features, labels(signals[Signal.TARGETS], "typical"))

    def cost(self, n: int, budget: int, width: int) -> float:
        """A sum and a distance per number, and a sort."""
        return 4.0 * n * width + sort_cost(n)


def distance_to_class_mean(features: Tensor, targets: Tensor) -> Tensor:
    """Euclidean distance of each sample to the mean of its class.

    Args:
        features: Shape (n, d); a row with a value that is not finite is left out of the means.
        targets: Class ids, shape (n,).

    Returns:
        Shape (n,), float64; NaN for such a row.
    """
    usable = torch.isfinite(features).all(1)
    rows = features.double().masked_fill(~usable[:, None], 0.0)
    size = int(targets.max()) + 1
    sums = rows.new_zeros(size, rows.shape[1]).index_add_(0, targets, rows)
    counts = rows.new_zeros(size).index_add_(0, targets, usable.double())
    means = sums / counts.clamp_min(1)[:, None]
    return (rows - means[targets]).norm(dim=1).masked_fill(~usable, torch.nan)
