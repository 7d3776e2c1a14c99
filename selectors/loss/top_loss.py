"""Keep the largest losses."""

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
@register("top_loss")
@dataclass(frozen=True)
class TopLoss(ScoreSelector):
    """Keep the samples with the largest loss; `skip` sets aside a likely mislabelled tail first.

    The score is the loss itself, so it needs no function of its own; one that is not finite comes last.

    Reference: Kawaguchi and Lu, "Ordered SGD: A New Stochastic Optimization Framework for Empirical Risk
    Minimization", AISTATS 2020 (there the largest q of each batch).
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The loss."""
        return observed(signals, Signal.LOSS)

    def cost(self, n: int, budget: int, width: int) -> float:
        """A sort: 32 n log2 n."""
        return sort_cost(n)
