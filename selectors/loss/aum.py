"""Tell wrong labels by the margins that training gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.draws import guessed
from autotune.sampling import Sampler, observed, shuffle_cost, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("aum")
@dataclass(frozen=True)
class AUM(ScoreSelector):
    """Keep the samples with the largest mean margin during training, which are the likeliest to be clean.

    The score is the negative area under the margin, so that here too higher is harder: the sampler `bottom`,
    the default, cleans; `top` after a `skip`, and `coverage`, look for hard ones below a wrong tail. A sample
    that was never seen counts as a random one that was.

    Reference: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking",
    NeurIPS 2020, section 3.
    """

    sampler: str = Sampler.BOTTOM.value

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.MARGIN_HISTORY, Signal.TARGETS})
    tolerates_gaps: ClassVar[bool] = True

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The negative area under the margin."""
        return guessed(-area_under_margin(observed(signals, Signal.MARGIN_HISTORY)), generator)

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 operations per entry of the history, a draw, and a sort; `width` is its length."""
        return 2.0 * n * width + shuffle_cost(n) + sort_cost(n)


def area_under_margin(margins: Tensor) -> Tensor:
    """Mean margin of each sample over the sights that are remembered.

    Args:
        margins: Target logit less the largest other one at each sight, shape (n, t), NaN before the first.

    Returns:
        Shape (n,), float64; low is likely mislabelled, NaN where never seen.
    """
    return margins.nanmean(1).double()
