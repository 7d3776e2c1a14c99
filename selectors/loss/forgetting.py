"""Keep what the model forgets again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.draws import guessed, uniform
from autotune.sampling import observed, shuffle_cost, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("forgetting")
@dataclass(frozen=True)
class Forgetting(ScoreSelector):
    """Keep the samples that went from right to wrong most often during training, and those never right.

    Counts are small integers, so of equal ones chance decides. A sample that was never seen counts as a
    random one that was.

    Reference: Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
    ICLR 2019, algorithm 1.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.MARGIN_HISTORY, Signal.TARGETS})
    tolerates_gaps: ClassVar[bool] = True

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The number of times forgotten."""
        counts = guessed(forgetting_events(observed(signals, Signal.MARGIN_HISTORY)), generator)
        return counts + 1e-6 * uniform(signals.n, generator, counts.device)

    def cost(self, n: int, budget: int, width: int) -> float:
        """4 operations per entry of the history, two draws, and a sort; `width` is its length."""
        return 4.0 * n * width + 2 * shuffle_cost(n) + sort_cost(n)


def forgetting_events(margins: Tensor) -> Tensor:
    """How often each sample was classified right at one sight and wrong at the next.

    Args:
        margins: Target logit less the largest other one at each sight, shape (n, t), oldest first, NaN before
            the first; above 0 is right.

    Returns:
        Counts, float64, shape (n,): t where it was never right, more than any other; NaN where never seen.
    """
    seen, right = ~margins.isnan(), margins > 0
    events = (right[:, :-1] & seen[:, 1:] & ~right[:, 1:]).sum(1).double()
    events[~right.any(1)] = margins.shape[1]
    return events.masked_fill(~seen.any(1), torch.nan)
