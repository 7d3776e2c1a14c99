"""Keep what the model is most wrong about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.sampling import labels, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("el2n")
@dataclass(frozen=True)
class EL2N(ScoreSelector):
    """Keep the hardest examples by error norm; `skip` sets aside a likely mislabelled tail first."""

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.PROBABILITIES, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The length of the error vector."""
        return el2n_scores(observed(signals, Signal.PROBABILITIES), labels(signals[Signal.TARGETS], "el2n"))

    def cost(self, n: int, budget: int, width: int) -> float:
        """3 FLOPs per candidate and class, and a sort; `width` is the number of classes."""
        return 3.0 * n * width + sort_cost(n)


def el2n_scores(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Error-vector norm ||p - onehot(y)||_2 of each example.

    Reference: Paul et al., "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    NeurIPS 2021, definition 2.2.

    Args:
        probabilities: Softmax outputs, shape (n, classes).
        targets: Class ids in [0, classes), shape (n,).

    Returns:
        Scores in [0, sqrt(2)], shape (n,); higher is harder.
    """
    scores: Tensor = (probabilities - F.one_hot(targets.long(), probabilities.shape[1])).norm(dim=1)
    return scores
