"""What rules that give weights share: each class by itself, and samples that cannot be judged last."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from autotune.sampling import class_ids, proportional
from autotune.selection import Subset
from autotune.signals import Signal, Signals

Choice = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def weighted_by_class(
    signals: Signals,
    usable: Tensor,
    budget: int,
    choose: Choice,
    *,
    together: bool = False,
    at_once: float = math.inf,
) -> Subset:
    """Let every class choose its proportional share, and put the choices together.

    A class that is to choose more than `at_once` is cut into as many parts as that takes, each a class by
    itself.

    Args:
        signals: Of the candidates, their targets among them.
        usable: Which candidates can be judged, shape (n,). The others are taken only when these are too few,
            with the mean weight.
        budget: In [1, n]. Where it is n, all are taken alike.
        choose: Given positions of one class, ascending, and how many to take of them, at least 1, says which,
            as places among them, and with which weights >= 0. Where no weight is above 0 the choices count
            alike, and sum to the size of the class.
        together: All classes are one.
        at_once: How many may be chosen in one call, at least 1.

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
    for part, share in _allotted(parts, size, at_once) if size else ():
        if share:
            places, found = choose(part, share)
            picks.append(part[places])
            alike = torch.full_like(found, len(part) / share, dtype=torch.double)
            weights.append(found.double() if bool((found > 0).any()) else alike)
    chosen = torch.cat(weights)
    spare = chosen.mean() if size else chosen.new_ones(())
    filled = torch.cat([chosen, spare.expand(budget - size)])
    return Subset.weighted(signals.ids[torch.cat([*picks, rest[: budget - size]])], filled)


def _allotted(parts: list[Tensor], size: int, at_once: float) -> Iterator[tuple[Tensor, int]]:
    """Each part with its share of the size, those of a larger share than `at_once` cut into several."""
    cuts = [max(1, math.ceil(share / at_once)) for share in _shares(parts, size)]
    parts = [part[start::cut] for part, cut in zip(parts, cuts, strict=True) for start in range(cut)]
    return zip(parts, _shares(parts, size), strict=True)


def _shares(parts: list[Tensor], size: int) -> list[int]:
    shares: list[int] = proportional(torch.tensor([len(part) for part in parts]), size).tolist()
    return shares


def _by_class(rows: Tensor, classes: Tensor) -> list[Tensor]:
    """The rows of each class that has some, in order."""
    ordered = rows[classes[rows].argsort(stable=True)]
    return list(torch.split(ordered, torch.unique(classes[rows], return_counts=True)[1].tolist()))
