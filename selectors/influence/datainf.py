"""Keep the samples whose influence on the target split's loss is best, with the curvature in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.numerics.influence import finite_rows, mean_row
from autotune.sampling import observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import check_positive, register
from autotune.signals import Signal, Signals

TINY: Final = 1e-30  # where all gradients are zero nothing is divided, and never by zero


@final
@register("datainf")
@dataclass(frozen=True)
class DataInf(ScoreSelector):
    """Keep the samples that lower the target split's loss most, by influence with DataInf's closed form.

    Directions in which many gradients are large already count less than in `tracin`. Classes are balanced by
    default, so that those which the target split lacks most do not fill the subset.

    Reference: Kwon et al., "DataInf: Efficiently Estimating Data Influence in LoRA-tuned LLMs and Diffusion
    Models", ICLR 2024, equation 5 (all layers as one block).

    Attributes:
        damping: Added to the curvature, relative to its mean over directions, above 0.
    """

    class_balanced: bool = True
    damping: float = 0.1

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.GRADIENTS, Signal.TARGET_SPLIT_GRADIENTS, Signal.TARGETS}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("damping", self.damping, 0.1)

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Influence on the mean loss of the target split."""
        direction = mean_row(signals[Signal.TARGET_SPLIT_GRADIENTS])
        return datainf_scores(observed(signals, Signal.GRADIENTS), direction, self.damping)

    def cost(self, n: int, budget: int, width: int) -> float:
        """8 n k and a sort, for gradients of k numbers: norms, and three products with vectors."""
        return 8.0 * n * width + sort_cost(n)


def datainf_scores(gradients: Tensor, direction: Tensor, damping: float) -> Tensor:
    """Influence l v' H^-1 g_i, where the inverse of a mean is taken as the mean of the inverses.

    H is the mean of g_i g_i' + l I, and each of its terms has an inverse in closed form (Sherman-Morrison).
    So l H^-1 is about (1/n) sum_i I - g_i g_i' / (l + |g_i|^2): it takes two passes over the gradients to
    apply. Here l is `damping` times the mean of |g_i|^2 / k; without gradients nothing has an influence.

    Args:
        gradients: g, shape (n, k); rows that are not finite get no score and have no part in H.
        direction: v, gradient of the loss of interest, shape (k,), or (k, q) for q losses.
        damping: Above 0.

    Returns:
        Scores, shape (n,) or (n, q); a step on a sample with a higher one lowers the loss more.
    """
    usable, columns = finite_rows(gradients), direction.reshape(len(direction), -1)
    squares = torch.linalg.vector_norm(usable, dim=1).square()
    scales = squares + damping * squares.sum() / max(1, len(usable)) / gradients.shape[1]
    along = usable @ columns / scales.clamp_min(TINY)[:, None]
    solved = columns - usable.T @ along / max(1, len(usable))
    scores: Tensor = (gradients @ solved).reshape(len(gradients), *direction.shape[1:])
    return scores
