"""What every selector that covers the feature space has in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autotune.sampling import observed
from autotune.selection import Subset
from autotune.signals import Signal, Signals


def ordered(signals: Signals, budget: int, order: Callable[[Tensor, int], Tensor]) -> Subset:
    """The first `budget` samples of an order by features; those without finite ones come last, by id.

    Where the budget is everything there is nothing to order: ids come sorted.

    Args:
        signals: With features, of any shape per sample.
        budget: In [1, n].
        order: Of finite float32 features, shape (m, width), and how many to pick of them, in [1, m]: distinct
            positions, the first picked first.
    """
    if budget == signals.n:
        return Subset.uniform(signals.ids)
    positions, features = usable(signals)
    if len(positions) == signals.n:
        return Subset.uniform(signals.ids[order(features, budget)])
    left = torch.ones(signals.n, dtype=torch.bool, device=positions.device)
    left[positions] = False
    rest = left.nonzero().squeeze(1)
    picks = order(features, min(budget, len(positions))) if len(positions) else positions
    return Subset.uniform(signals.ids[torch.cat([positions[picks], rest])[:budget]])


def usable(signals: Signals) -> tuple[Tensor, Tensor]:
    """Positions of the samples whose features are finite, and these features as float32, one row each."""
    features = observed(signals, Signal.FEATURES).flatten(1).float()
    finite = torch.isfinite(features).all(1)
    positions = finite.nonzero().squeeze(1)
    return positions, features if len(positions) == len(features) else features[positions]
