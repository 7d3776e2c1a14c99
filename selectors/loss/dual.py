"""Keep what is hard and unsettled, the easier of it the less is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import guessed, gumbel
from autotune.numerics.dynamics import recent_mean, windowed_moments
from autotune.sampling import observed, rank, shuffle_cost, sort_cost
from autotune.selection import Selector, Subset, check_positive, register
from autotune.signals import LENGTH, Signal, Signals

SHARPNESS: Final = 15.0  # C of the beta distribution, as published
ANCHORS: Final = 10  # samples of the highest score, whose mean prediction it is centred on
EDGE: Final = 1e-4  # mean predictions are held off 0 and 1, where densities are infinite


@final
@register("dual")
@dataclass(frozen=True)
class Dual(Selector):
    """Draw samples by difficulty times uncertainty of their predictions during training.

    At high pruning the hardest samples alone teach little. So the score is multiplied by a beta density of
    the mean prediction, whose mode moves from the hardest samples to easy ones as less is kept, and samples
    are drawn in proportion, without replacement. Predictions are exp(-loss), the probability of the label:
    for the cross-entropy only. One that was seen less than twice counts as a random one that was.

    Reference: Cho et al., "Lightweight Dataset Pruning without Full Training via Example Difficulty and
    Prediction Uncertainty", ICML 2025.

    Attributes:
        window: Sights in a window, from 2 to 16.
        beta: Draw with the beta density; otherwise keep the highest scores.
        easing: How late the mode moves, the published c, above 0: at ratio r of samples left out the density
            has moved by r ** easing.
    """

    window: int = 5
    beta: bool = True
    easing: float = 4.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS_HISTORY})
    tolerates_gaps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 2 <= self.window <= LENGTH:
            raise SelectorError(
                f"window must be from 2 sights, for a deviation, to the {LENGTH} that are kept, got "
                f"{self.window}"
            )
        check_positive("easing", self.easing, 4.0)

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """A weighted draw, or the highest scores."""
        predictions = torch.exp(-observed(signals, Signal.LOSS_HISTORY))
        wanted = dual_scores(predictions, self.window)
        if self.beta:
            left_out = 1 - budget / signals.n
            wanted = wanted.clamp_min(1e-12).log() + log_density(predictions, wanted, left_out**self.easing)
        wanted = guessed(wanted, generator)
        if self.beta:
            wanted = wanted + gumbel(signals.n, generator, wanted.device)
        return Subset.uniform(signals.ids[rank(wanted)[:budget]])

    def cost(self, n: int, budget: int, width: int) -> float:
        """20 operations per entry of the history, two draws, and two sorts; `width` is its length."""
        return 20.0 * n * width + 2 * shuffle_cost(n) + 2 * sort_cost(n)


def dual_scores(predictions: Tensor, window: int) -> Tensor:
    """Difficulty times uncertainty, (1 - mean) x standard deviation, averaged over windows.

    Args:
        predictions: Probability of the label at each sight, shape (n, t), NaN before the first.
        window: Sights in a window, J.

    Returns:
        Scores >= 0, float64, shape (n,); NaN where fewer than two predictions are known.
    """
    mean, deviation = windowed_moments(predictions, window, correction=1)
    return recent_mean((1 - mean) * deviation, 1.0)


def log_density(predictions: Tensor, scores: Tensor, moved: float) -> Tensor:
    """Logarithm, up to a constant, of the beta density at each sample's mean prediction.

    Its parameters are b = C (1 - mu)(1 - moved) and a = C + 1 - b, for mu the mean prediction of the samples
    of highest score; so its mode, (a - 1)/(C - 1), is 1 where all but a few samples are left out.

    Args:
        predictions: Probability of the label at each sight, shape (n, t), NaN before the first.
        scores: Shape (n,), NaN where unknown.
        moved: r ** c for the ratio r of samples left out, in [0, 1).

    Returns:
        Shape (n,), float64; NaN where no prediction is known.
    """
    means = predictions.nanmean(1).double()
    anchor = means[rank(scores)[:ANCHORS]].nanmean()
    b = SHARPNESS * (1 - anchor) * (1 - moved)
    held = means.clamp(EDGE, 1 - EDGE)
    return (SHARPNESS - b) * held.log() + (b - 1) * (1 - held).log()
