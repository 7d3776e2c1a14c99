"""The results at one rung, best first, with what an asynchronous rule needs to ask of them."""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from autotune.errors import ConfigurationError

Place = tuple[float, int]  # (-score, trial): sorts best first, ties by the older trial
LOOKED: Final = 20  # who wait, at most, that are asked whether the budget still pays for them
NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass
class Rung:
    """All results at one fidelity.

    Attributes:
        ranking: Finite results, best first.
        waiting: A heap of those that have not been promoted.
        count: All results by which the promoted are counted, failures included: they lost.
    """

    ranking: list[Place] = field(default_factory=list)
    waiting: list[Place] = field(default_factory=list)
    count: int = 0

    def record(
        self,
        score: float,
        trial: int,
        waits: bool = True,
        counts: bool = True,
        metrics: Mapping[str, float] = NOTHING,
    ) -> None:
        """Take in a result; one that is not finite counts, and ranks below every finite one.

        Args:
            score: Higher is better.
            trial: Its number.
            waits: Whether it may be promoted from here by its rank.
            counts: Whether it raises the number of those who are promoted. Who began here, though others
                had to earn it below, competes with them and does not.
            metrics: All that were reported; here nothing but the score counts.
        """
        self.count += counts
        if math.isfinite(score):
            place = (-score, trial)
            insort(self.ranking, place)
            if waits:
                heapq.heappush(self.waiting, place)

    def kth_best(self, k: int) -> float:
        """The k-th best finite score, k >= 1; minus infinity when there are fewer."""
        return -self.ranking[k - 1][0] if k <= len(self.ranking) else -math.inf

    def among_best(self, trial: int, score: float, k: int) -> bool:
        """Whether a trial with this score is among the best k; a score as good as the k-th best is."""
        return math.isfinite(score) and score >= self.kth_best(k)

    def promotable(self, reduction: int) -> Iterator[int]:
        """Trials that wait here and are among the best 1/reduction of all results, best first."""
        return self.best_waiting(self.count // reduction)

    def best_waiting(self, quota: int) -> Iterator[int]:
        """Trials that wait here and are among the best so many of all results, best first."""
        for place in best_first(self.waiting):
            if not self.holds(place, quota):
                return
            yield place[1]

    def holds(self, place: Place, quota: int) -> bool:
        """Whether fewer than so many results are better: a look, where counting them is a search."""
        return quota > len(self.ranking) or (quota > 0 and place <= self.ranking[quota - 1])

    def promoted(self, trial: int) -> None:
        """A trial has left for the next rung, if it waited here."""
        self.waiting = without(self.waiting, trial)


def best_first(heap: list[Place]) -> Iterator[Place]:
    """The places of a heap in their order, `LOOKED` at most: nearly always the first is what is wanted."""
    if heap:
        yield heap[0]
        yield from heapq.nsmallest(LOOKED, heap)[1:]


def without(heap: list[Place], trial: int) -> list[Place]:
    """A heap without a trial; takes as long as making it, unless the trial is the first."""
    if heap and heap[0][1] == trial:
        heapq.heappop(heap)
        return heap
    left = [place for place in heap if place[1] != trial]
    heapq.heapify(left)
    return left


def check_rungs(lowest: float, highest: float, reduction: int) -> None:
    """Refuse what `geometric_rungs` cannot divide.

    Raises:
        ConfigurationError: Naming the scheduler's argument.
    """
    if not (math.isfinite(highest) and highest > 0):
        raise ConfigurationError(f"horizon must be finite and above 0 epoch-equivalents, got {highest}")
    if not 0 < lowest <= highest:
        raise ConfigurationError(f"lowest must be in (0, horizon={highest}], got {lowest}")
    if not isinstance(reduction, int) or reduction < 2:
        raise ConfigurationError(f"reduction must be a whole number of at least 2, got {reduction!r}")


def geometric_rungs(lowest: float, highest: float, reduction: int) -> tuple[float, ...]:
    """Fidelities from the lowest to the highest, by factors as near `reduction` as can be.

    >>> [round(r, 3) for r in geometric_rungs(1 / 9, 3.0, 3)]
    [0.111, 0.333, 1.0, 3.0]
    >>> [round(r, 2) for r in geometric_rungs(1.0, 50.0, 3)]
    [1.0, 2.66, 7.07, 18.8, 50.0]
    """
    if highest <= lowest:
        return (highest,)
    steps = max(1, round(math.log(highest / lowest, reduction)))
    return (*(lowest * (highest / lowest) ** (k / steps) for k in range(steps)), highest)
