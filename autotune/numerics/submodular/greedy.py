"""Greedy maximisation of any monotone submodular objective: plain, lazy, and on random samples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autotune.errors import SelectorError

Progress = Callable[[float], None]
FRONT: Final = 1024  # candidates with the largest bounds, which alone are looked at for some picks
BATCH: Final = 16  # gains computed together: more would often be in vain


class Objective(ABC):
    """A monotone submodular function of a growing set: gains are >= 0 and never grow.

    Attributes:
        candidates: How many there are.
        device: Where gains are computed.
    """

    candidates: int
    device: torch.device

    @abstractmethod
    def gains(self, candidates: Tensor) -> Tensor:
        """What each of some candidates would add to the set as it is, shape (b,)."""

    @abstractmethod
    def add(self, candidate: int) -> None:
        """Put a candidate into the set."""


@dataclass(frozen=True)
class Order:
    """What greedy picked.

    Attributes:
        picks: Distinct candidates, the first picked first, shape (budget,).
        gains: What each added when it was picked, float64, not increasing up to rounding, shape (budget,).
    """

    picks: Tensor
    gains: Tensor


def naive(objective: Objective, budget: int, progress: Progress | None = None) -> Order:
    """Look at every candidate before each pick: at least 1 - 1/e of the best set's value.

    The right way where gains are kept up to date anyway, and the reference for the others. Ties go to the
    lowest candidate.

    Reference: Nemhauser, Wolsey and Fisher, "An analysis of approximations for maximizing submodular set
    functions I", Mathematical Programming 14, 1978.
    """
    everyone = torch.arange(objective.candidates, device=objective.device)
    left = torch.ones(objective.candidates, dtype=torch.bool, device=objective.device)
    picks, gains = [], []
    for _ in range(budget):
        found = objective.gains(everyone).masked_fill(~left, -math.inf)
        best = int(found.argmax())
        picks.append(best)
        gains.append(float(found[best]))
        left[best] = False
        objective.add(best)
        tell(progress, len(picks), budget)
    return _order(picks, gains, objective)


def lazy(objective: Objective, budget: int, batch: int = BATCH, progress: Progress | None = None) -> Order:
    """The picks of `naive`, with far fewer gains: an old gain bounds the new one from above.

    Only the candidates with the largest bounds are computed again, some at a time, until the largest bound
    is up to date. Between picks only a front is looked at, as long as it holds the largest bound.

    Reference: Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978.

    Args:
        objective: Empty; it holds the picks afterwards.
        budget: In [1, candidates].
        batch: How many gains are computed together.
        progress: Told the share of picks made, from time to time.
    """
    everyone = torch.arange(objective.candidates, device=objective.device)
    bound = torch.cat([objective.gains(part) for part in torch.split(everyone, 8 * batch)]).double().cpu()
    picks: list[int] = []
    gains: list[float] = []
    while len(picks) < budget:
        least = torch.maximum(bound.topk(min(FRONT, len(bound))).values[-1], bound[bound.isfinite()].min())
        front = (bound >= least).nonzero().squeeze(1)  # all ties too, so that the lowest candidate wins
        values, stale = bound[front], torch.ones(len(front), dtype=torch.bool)
        while len(picks) < budget:
            best = int(values.argmax())
            if values[best] < least:
                break
            if stale[best]:
                top = values.where(stale, -math.inf).topk(min(batch, len(front)))
                old = top.indices[top.values > -math.inf]
                values[old] = objective.gains(front[old].to(objective.device)).double().cpu()
                stale[old] = False
                continue
            picks.append(int(front[best]))
            gains.append(float(values[best]))
            objective.add(picks[-1])
            values[best] = -math.inf
            stale.fill_(True)
            tell(progress, len(picks), budget)
        bound[front] = values
    return _order(picks, gains, objective)


def stochastic(
    objective: Objective,
    budget: int,
    epsilon: float,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> Order:
    """Each pick is the best of a random sample: at least 1 - 1/e - epsilon of the best value, on average.

    The sample holds (candidates / budget) * ln(1 / epsilon), so that all picks together look at
    candidates * ln(1 / epsilon) gains, whatever the budget.

    Reference: Mirzasoleiman et al., "Lazier Than Lazy Greedy", AAAI 2015, theorem 1.

    Args:
        objective: Empty; it holds the picks afterwards.
        budget: In [1, candidates].
        epsilon: In (0, 1).
        generator: Draws the samples.
        progress: Told the share of picks made, from time to time.

    Raises:
        SelectorError: When epsilon is out of range.
    """
    if not 0.0 < epsilon < 1.0:
        raise SelectorError(f"epsilon must be in (0, 1), got {epsilon}")
    size = max(1, math.ceil(objective.candidates / budget * math.log(1 / epsilon)))
    pool = torch.arange(objective.candidates)
    picks, gains = [], []
    for _ in range(budget):
        drawn = torch.rand(len(pool), generator=generator, device=generator.device).cpu()
        places = drawn.topk(min(size, len(pool))).indices.sort().values
        found = objective.gains(pool[places].to(objective.device))
        best = int(found.argmax())
        picks.append(int(pool[places[best]]))
        gains.append(float(found[best]))
        pool = torch.cat([pool[: places[best]], pool[places[best] + 1 :]])
        objective.add(picks[-1])
        tell(progress, len(picks), budget)
    return _order(picks, gains, objective)


def largest_first(values: npt.NDArray[np.float64], count: int) -> Iterator[tuple[int, float]]:
    """Where the largest value is, and what it is, again and again, while the caller lowers values in between.

    A position never comes twice; ties go to the lowest. Only a front is looked at as long as it holds the
    largest.

    Args:
        values: Finite, shape (n,); changed: -inf where a position was given out.
        count: How many, in [1, n].
    """
    front_size = min(FRONT, len(values))
    while count:
        least = np.partition(values, -front_size)[-front_size]
        least = max(least, values[np.isfinite(values)].min())
        front = np.flatnonzero(values >= least)  # all ties too
        while count:
            found = values[front]
            place = int(found.argmax())
            if found[place] < least:
                break
            values[front[place]] = -np.inf
            count -= 1
            yield int(front[place]), float(found[place])


def _order(picks: list[int], gains: list[float], objective: Objective) -> Order:
    return Order(
        torch.tensor(picks, dtype=torch.long, device=objective.device),
        torch.tensor(gains, dtype=torch.double, device=objective.device),
    )


def tell(progress: Progress | None, done: int, budget: int) -> None:
    """Say how far it is, from time to time."""
    if progress is not None and (done == budget or done % 100 == 0):
        progress(done / budget)
