"""Keep the samples to which a linear model of the training, around several checkpoints, owes most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.influence import mean_row, second_moment
from autotune.sampling import observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import check_positive, register
from autotune.signals import CHECKPOINTS, Signal, Signals


@final
@register("trak")
@dataclass(frozen=True)
class Trak(ScoreSelector):
    """Keep the samples that lower the target split's loss most, by TRAK over several checkpoints.

    At each checkpoint the model is taken as linear in its projected gradients, for which what a sample does
    is known in closed form; the mean over checkpoints is the score. Classes are balanced by default, so that
    those which the target split lacks most do not fill the subset.

    Reference: Park et al., "TRAK: Attributing Model Behavior at Scale", ICML 2023, equation 17.

    Attributes:
        ridge: Added to the kernel, relative to its mean diagonal, above 0.
    """

    class_balanced: bool = True
    ridge: float = 0.3

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.CHECKPOINT_GRADIENTS, Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS, Signal.TARGETS}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("ridge", self.ridge, 0.3)

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Mean over the checkpoints of the influence on the mean loss of the target split."""
        gradients = observed(signals, Signal.CHECKPOINT_GRADIENTS)
        wanted = signals[Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS]
        found = [
            trak_scores(gradients[:, c], mean_row(wanted[:, c]), self.ridge) for c in range(wanted.shape[1])
        ]
        return torch.stack(found).mean(0)

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 n c k^2 + c k^3, and a sort, for c checkpoints of k numbers; `width` is k, c is taken as 3."""
        return CHECKPOINTS * (2.0 * n * width**2 + float(width) ** 3) + sort_cost(n)


def trak_scores(gradients: Tensor, direction: Tensor, ridge: float, weights: Tensor | None = None) -> Tensor:
    """Influence g_i' (sum_j w_j g_j g_j' + r I)^-1 v at one checkpoint, from gradients of the loss.

    The paper takes gradients phi of the log-odds of the right class, whose probability is p. A gradient of
    the cross-entropy is g = -(1 - p) phi, so the paper's factor 1 - p is in g already, and only the kernel
    tells the two apart: with w = 1 / (1 - p)^2 it is the paper's, phi' phi. Equal weights need no
    probabilities, serve any loss, and predict retraining nearly as well (docs/selectors/trak.md).

    Args:
        gradients: g, shape (n, k); rows that are not finite get no score and have no part in the kernel.
        direction: v, gradient of the loss of interest, shape (k,), or (k, q) for q losses.
        ridge: r, relative to the mean of the kernel's diagonal, above 0.
        weights: w, finite, >= 0, shape (n,); None weighs all alike.

    Returns:
        Scores, shape (n,) or (n, q); a step on a sample with a higher one lowers the loss more. 0 where
        all gradients are.
    """
    kernel = second_moment(gradients, torch.ones_like(gradients[:, 0]) if weights is None else weights)
    kernel, size = kernel.double(), kernel.diagonal().double().mean()
    kernel.diagonal().add_(ridge * size if bool(size > 0) else 1.0)
    solved = torch.linalg.solve(kernel, direction.double().reshape(len(direction), -1))
    scores: Tensor = gradients @ solved.to(gradients.dtype)
    return scores.reshape(len(gradients), *direction.shape[1:])
