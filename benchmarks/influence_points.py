"""What the scores of influence are made from, at one point of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.numerics.influence import alignment_scores
from autotune.signals import Signal
from benchmarks.attribution import (
    Samples,
    collector,
    gradients,
)

WIDTH: Final = 512  # of projected gradients
LEAST: Final = 1e-3  # of 1 - p: below it a gradient of float32 divided by it is noise


@dataclass(frozen=True)
class Features:
    """Projected gradients of the samples at one point, and the probability of their labels."""

    train: Tensor
    test: Tensor
    label: Tensor

    @classmethod
    def of(cls, model: nn.Module, data: Samples, test: Samples, seed: int, width: int = WIDTH) -> Features:
        """Each point with a projection of its own where it has a seed of its own."""
        probabilities = collector(model).collect(
            data.batches(), frozenset({Signal.PROBABILITIES}), lambda: None
        )[Signal.PROBABILITIES]
        label = probabilities.gather(1, data.targets[:, None]).squeeze(1)
        return cls(gradients(model, data, width, seed), gradients(model, test, width, seed), label)

    @property
    def missed(self) -> Tensor:
        """The probability that the label lacks: TRAK's factor 1 - p, shape (n,)."""
        return (1 - self.label).clamp_min(LEAST)

    @property
    def odds(self) -> Tensor:
        """Gradients of the log-odds of the label, up to their sign, as TRAK has them."""
        return self.train / self.missed[:, None]


@dataclass(frozen=True)
class LastLayer:
    """The last layer's factors of the samples at one point."""

    embeddings: Tensor
    errors: Tensor
    probabilities: Tensor
    loss: Tensor

    @classmethod
    def of(cls, model: nn.Module, data: Samples) -> LastLayer:
        """From one forward pass."""
        wanted = (Signal.EMBEDDINGS, Signal.ERRORS, Signal.PROBABILITIES, Signal.LOSS)
        found = collector(model).collect(data.batches(), frozenset(wanted), lambda: None)
        return cls(*(found[signal] for signal in wanted))

    @property
    def whole(self) -> Tensor:
        """Gradients, shape (n, outputs, width + 1): of a few samples only."""
        return torch.einsum("no,nd->nod", self.errors, F.pad(self.embeddings, (0, 1), value=1.0))

    @property
    def curvature(self) -> float:
        """Mean over directions, in whose units damping is."""
        spread = (1 - self.probabilities.square().sum(1)) * (self.embeddings.square().sum(1) + 1)
        return float(spread.mean()) / (self.probabilities.shape[1] * (self.embeddings.shape[1] + 1))

    def products(self, directions: Tensor) -> Tensor:
        """Inner products of each gradient with each direction (q, outputs, width + 1), shape (n, q)."""
        return torch.stack([alignment_scores(self.embeddings, self.errors, d) for d in directions], 1)
