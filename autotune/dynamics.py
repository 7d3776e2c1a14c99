"""Statistics of training histories, in which samples were seen differently often."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def moments(values: Tensor, *, correction: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each row over what is known of it.

    Args:
        values: Shape (n, t), NaN where unknown.
        correction: What the number of values is lowered by in the variance, 0 or 1.

    Returns:
        Two arrays of shape (n,), NaN where fewer than two values are known.
    """
    known = (~values.isnan()).sum(1)
    mean = values.nanmean(1).masked_fill(known < 2, torch.nan)
    squares = (values - mean[:, None]).square().nansum(1)
    return mean, (squares / (known - correction).clamp_min(1)).sqrt() + 0 * mean


def over_windows(values: Tensor, width: int, score: Callable[[Tensor], Tensor], keep: float) -> Tensor:
    """Mean of a score over all windows of a history, where older windows may count less.

    A row's windows of which the score is not finite are left out, so that a sample that was seen seldom is
    judged by the windows it has.

    Args:
        values: Shape (n, t), oldest first, NaN where unknown.
        width: Columns in a window, at least 1; at most t are used.
        score: From a window of shape (n, width), float64, to one number per row.
        keep: Weight of a window over that of the one after it, in (0, 1]; 1 is the plain mean.

    Returns:
        Shape (n,), float64; NaN where no window has a score.
    """
    n, t = values.shape
    total, mass = values.new_zeros(n, dtype=torch.double), values.new_zeros(n, dtype=torch.double)
    for age in range(t - min(width, t) + 1):
        found = score(values[:, t - age - min(width, t) : t - age].double())
        known = torch.isfinite(found)
        total += torch.where(known, found, 0.0) * keep**age
        mass += known * keep**age
    return total / mass
