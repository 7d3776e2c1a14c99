"""What rules that give weights share: each class by itself, and samples that cannot be judged last."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autotune.sampling import class_ids, proportional
from autotune.selection import Subset
from autotune.signals import Signal, Signals

Choice = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def weighted_by_class(
    signals: Signals, usable: Tensor, budget: int, choose: Choice, *, together: bool = False
) -> Subset:
    """Let every class choose its proportional share, and put the choices together.

    Args:
        signals: Of the candidates, their targets among them.
        usable: Which candidates can be judged, shape (n,). The others are taken only when these are too few,
            with the mean weight.
        budget: In [1, n]. Where it is n, all are taken alike.
        choose: Given positions of one class, ascending, and how many to take of them, at least 1, says which,
            as places among them, and with which weights >= 0. Where no weight is above 0 the choices count
            alike, and sum to the size of the class.
        together: All classes are one.

    Returns:
        Class by class, each in the order chosen; weights of mean 1 over all.
    """
    if budget == signals.n:
        return Subset.uniform(signals.ids)
    rows, rest = usable.nonzero().squeeze(1), (~usable).nonzero().squeeze(1)
    classes = None if together else class_ids(signals[Signal.TARGETS])
    parts = [rows] if classes is None else _by_class(rows, classes)
    size = min(budget, len(rows))
    picks, weights = [rows[:0]], [torch.ones(0, dtype=torch.double, device=rows.device)]
    shares = proportional(torch.tensor([len(part) for part in parts]), size) if size else torch.zeros(0)
    for part, share in zip(parts, shares.tolist(), strict=False):
        if share:
            places, found = choose(part, share)
            picks.append(part[places])
            alike = torch.full_like(found, len(part) / share, dtype=torch.double)
            weights.append(found.double() if bool((found > 0).any()) else alike)
    chosen = torch.cat(weights)
    spare = chosen.mean() if size else chosen.new_ones(())
    filled = torch.cat([chosen, spare.expand(budget - size)])
    return Subset.weighted(signals.ids[torch.cat([*picks, rest[: budget - size]])], filled)


def _by_class(rows: Tensor, classes: Tensor) -> list[Tensor]:
    """The rows of each class that has some, in order."""
    ordered = rows[classes[rows].argsort(stable=True)]
    return list(torch.split(ordered, torch.unique(classes[rows], return_counts=True)[1].tolist()))
