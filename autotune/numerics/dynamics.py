"""Statistics of training histories, in which samples were seen differently often."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def windowed_moments(values: Tensor, width: int, *, correction: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of what is known in each window of a history.

    Args:
        values: Shape (n, t), oldest first; not finite where unknown.
        width: Columns in a window, at least 1; at most t are used.
        correction: What the number of values is lowered by in the variance, 0 or 1.

    Returns:
        Two arrays of shape (n, windows), oldest first; NaN where fewer than two values are known.
    """
    width = min(width, values.shape[1])
    known = torch.isfinite(values)
    center = torch.where(known, values, 0).sum(1, keepdim=True) / known.sum(1, keepdim=True)
    around = torch.where(known, values - center, 0)  # so that squares do not cancel below

    def windows(of: Tensor) -> Tensor:
        sums = F.pad(of.cumsum(1), (1, 0))
        return sums[:, width:] - sums[:, :-width]

    number, mean = windows(known.to(values.dtype)), windows(around)
    mean /= number
    variance = (windows(around.square()) - number * mean.square()).clamp_min(0) / (number - correction)
    few = number < 2
    return (center + mean).masked_fill(few, torch.nan), variance.sqrt().masked_fill(few, torch.nan)


def recent_mean(scores: Tensor, keep: float) -> Tensor:
    """Mean over windows in which older ones may count less, and those without a score not at all.

    Args:
        scores: Shape (n, windows), oldest first; not finite where there is none.
        keep: Weight of a window over that of the one after it, in (0, 1]; 1 is the plain mean.

    Returns:
        Shape (n,), float64; NaN where no window has a score.
    """
    known = torch.isfinite(scores)
    age = torch.arange(scores.shape[1] - 1, -1, -1, dtype=torch.double, device=scores.device)
    weights = (keep**age).to(scores.dtype)
    total = (torch.where(known, scores, 0) * weights).sum(1)  # no matrix product: equal rows get equal sums
    return total.double() / (known * weights).sum(1)
