"""Keep what training is still moving, unsteadily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import guessed
from autotune.numerics.dynamics import recent_mean, windowed_moments
from autotune.sampling import observed, shuffle_cost, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import LENGTH, Signal, Signals


@final
@register("tdds")
@dataclass(frozen=True)
class TDDS(ScoreSelector):
    """Keep the samples whose loss changes the most unevenly during training, recent sights first.

    A sample that was seen too seldom to be judged, less than three times, counts as a random one that was.

    Reference: Zhang et al., "Spanning Training Progress: Temporal Dual-Depth Scoring (TDDS) for Enhanced
    Dataset Pruning", CVPR 2024.

    Attributes:
        window: Sights in a window, from 3 to 16.
        decay: Share of the newest window in the moving average, in (0, 1).
    """

    window: int = 5
    decay: float = 0.9

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS_HISTORY, Signal.TARGETS})
    tolerates_gaps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 3 <= self.window <= LENGTH:
            raise SelectorError(
                f"window must be from 3 sights, for two changes to differ, to the {LENGTH} that are kept, "
                f"got {self.window}"
            )
        if not 0.0 < self.decay < 1.0:
            raise SelectorError(f"decay must be in (0, 1), got {self.decay}")

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The averaged variability."""
        history = observed(signals, Signal.LOSS_HISTORY)
        return guessed(tdds_scores(history, self.window, self.decay), generator)

    def cost(self, n: int, budget: int, width: int) -> float:
        """20 operations per entry of the history, a draw, and a sort; `width` is its length."""
        return 20.0 * n * width + shuffle_cost(n) + sort_cost(n)


def tdds_scores(losses: Tensor, window: int, decay: float) -> Tensor:
    """Variability of a sample's contributions inside each window, averaged over windows with decay.

    The contribution between two sights is |l(k+1) - l(k)|, the paper's first-order estimate of the gradient's
    projection on the step. The paper then puts the KL divergence of the two predictions in its place, which
    sees the other classes move too, but needs all probabilities of all sights; that step is left out here.
    Means in place of sums make samples comparable that were seen differently often, and change no order
    among those seen equally often.

    Args:
        losses: Training losses, shape (n, t), oldest first, NaN before the first.
        window: Sights in a window, J.
        decay: beta; a window weighs 1 - beta of the one after it.

    Returns:
        Scores >= 0, float64, shape (n,); NaN where fewer than three losses are known.
    """
    changes = losses.diff(dim=1).abs()
    _, variability = windowed_moments(changes, window - 1, correction=0)
    return recent_mean(variability, 1 - decay)
