"""Keep the samples whose optimizer step points most nearly where the target split wants to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.numerics.influence import mean_row
from autotune.sampling import class_ids, observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals

TINY: Final = 1e-30  # lengths below it count as zero, and zero is aligned with nothing: its cosine is 0


@final
@register("less")
@dataclass(frozen=True)
class Less(ScoreSelector):
    """Keep the samples whose update, as the optimizer makes it, is best aligned with the target split.

    The cosine keeps long gradients from winning by length. Both sides are random projections of low rank.

    Reference: Xia et al., "LESS: Selecting Influential Data for Targeted Instruction Tuning", ICML 2024,
    definition 3.1 (here at the present point of training; its gradients are of adapters).

    Attributes:
        per_class: Take the best cosine over the classes of the target split, as LESS does over subtasks,
            rather than that with the mean of all; no effect where targets are not class ids.
    """

    per_class: bool = False

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.UPDATES, Signal.TARGETS, Signal.TARGET_SPLIT_GRADIENTS, Signal.TARGET_SPLIT_TARGETS}
    )

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The best cosine with a direction of the target split."""
        wanted = signals[Signal.TARGET_SPLIT_GRADIENTS]
        groups = class_ids(signals[Signal.TARGET_SPLIT_TARGETS]) if self.per_class else None
        return less_scores(observed(signals, Signal.UPDATES), mean_rows(wanted, groups))

    def cost(self, n: int, budget: int, width: int) -> float:
        """4 n k and a sort, for updates of k numbers; 2 n k more for each class where classes are apart."""
        return 4.0 * n * width + sort_cost(n)


def mean_rows(rows: Tensor, groups: Tensor | None) -> Tensor:
    """Mean of the finite rows of each group, shape (groups, k); one group where none are given.

    Args:
        rows: Shape (m, k).
        groups: Integers, shape (m,).
    """
    if groups is None:
        return mean_row(rows)[None]
    return torch.stack([mean_row(rows[groups == group]) for group in torch.unique(groups)])


def less_scores(updates: Tensor, directions: Tensor) -> Tensor:
    """Largest cosine of each update with one of the directions.

    Args:
        updates: Shape (n, k).
        directions: Shape (d, k).

    Returns:
        Scores in [-1, 1], shape (n,); 0 for an update or a direction of length 0.
    """
    units = F.normalize(directions, dim=1, eps=TINY)
    lengths = torch.linalg.vector_norm(updates, dim=1).clamp_min(TINY)
    scores: Tensor = (updates @ units.T).amax(1) / lengths
    return scores
