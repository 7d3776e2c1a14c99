"""Keep the samples that pulled the target split's loss down along the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.influence import mean_row
from autotune.sampling import observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import CHECKPOINTS, Signal, Signals


@final
@register("tracin")
@dataclass(frozen=True)
class TracIn(ScoreSelector):
    """Keep the samples whose steps lowered the loss of the target split the most, summed over checkpoints.

    Classes are balanced by default, so that those which the target split lacks most do not fill the subset.

    Reference: Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent", NeurIPS 2020
    (TracInCP, with random projections).
    """

    class_balanced: bool = True

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.CHECKPOINT_GRADIENTS, Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS, Signal.TARGETS}
    )

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Inner products with the mean gradients of the target split."""
        targets = signals[Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS]
        directions = torch.stack([mean_row(targets[:, c]) for c in range(targets.shape[1])])
        return tracin_scores(observed(signals, Signal.CHECKPOINT_GRADIENTS), directions)

    def cost(self, n: int, budget: int, width: int) -> float:
        """2 n c k and a sort, for c checkpoints of k numbers; `width` is k, c is taken as 3."""
        return 2.0 * n * CHECKPOINTS * width + sort_cost(n)


def tracin_scores(gradients: Tensor, directions: Tensor) -> Tensor:
    """Influence on a loss traced over checkpoints, sum_c <g_ic, v_c>; the learning rate counts as constant.

    Args:
        gradients: g, of each sample at each checkpoint, shape (n, c, k).
        directions: v, gradient of the loss at each checkpoint, shape (c, k), or (c, k, q) for q losses.

    Returns:
        Scores, shape (n,) or (n, q); a step on a sample with a higher one lowers the loss more.
    """
    return gradients.flatten(1) @ directions.flatten(0, 1)
