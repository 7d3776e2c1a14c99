"""Greedy maximisation of any monotone submodular objective: plain, lazy, and on random samples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

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
        _tell(progress, picks, budget)
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
    bound = torch.cat([objective.gains(part) for part in _parts(objective, 8 * batch)]).double().cpu()
    picks: list[int] = []
    gains: list[float] = []
    while len(picks) < budget:
        least = bound.topk(min(FRONT, len(bound))).values[-1].clamp_min(0.0)
        front = (bound >= least).nonzero().squeeze(1)  # all ties too, so that the lowest candidate wins
        values, fresh = bound[front], torch.zeros(len(front), dtype=torch.bool)
        while len(picks) < budget:
            best = int(values.argmax())
            if values[best] < least:
                break
            if not fresh[best]:
                old = values.masked_fill(fresh, -math.inf).topk(min(batch, len(front))).indices
                values[old] = objective.gains(front[old].to(objective.device)).double().cpu()
                fresh[old] = True
                continue
            picks.append(int(front[best]))
            gains.append(float(values[best]))
            objective.add(picks[-1])
            values[best] = -math.inf
            fresh.fill_(False)
            _tell(progress, picks, budget)
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
        _tell(progress, picks, budget)
    return _order(picks, gains, objective)


def _parts(objective: Objective, size: int) -> tuple[Tensor, ...]:
    return torch.arange(objective.candidates, device=objective.device).split(size)


def _order(picks: list[int], gains: list[float], objective: Objective) -> Order:
    return Order(
        torch.tensor(picks, dtype=torch.long, device=objective.device),
        torch.tensor(gains, dtype=torch.double, device=objective.device),
    )


def _tell(progress: Progress | None, picks: list[int], budget: int) -> None:
    if progress is not None and (len(picks) == budget or len(picks) % 100 == 0):
        progress(len(picks) / budget)
