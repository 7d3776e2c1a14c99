"""The results at one rung, best first, with what an asynchronous rule needs to ask of them."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field

Place = tuple[float, int]  # (-score, trial): sorts best first, ties by the older trial


@dataclass
class Rung:
    """All results at one fidelity.

    Attributes:
        ranking: Finite results, best first.
        waiting: A heap of those that have not been promoted.
        count: All results, failures included: they lost.
    """

    ranking: list[Place] = field(default_factory=list)
    waiting: list[Place] = field(default_factory=list)
    count: int = 0

    def record(self, score: float, trial: int) -> None:
        """Take in a result; one that is not finite counts, and ranks below every finite one."""
        self.count += 1
        if math.isfinite(score):
            place = (-score, trial)
            insort(self.ranking, place)
            heapq.heappush(self.waiting, place)

    def kth_best(self, k: int) -> float:
        """The k-th best finite score, k >= 1; minus infinity when there are fewer."""
        return -self.ranking[k - 1][0] if k <= len(self.ranking) else -math.inf

    def promotable(self, reduction: int) -> int | None:
        """The best trial that waits here, if it is among the best 1/reduction of all results."""
        if not self.waiting:
            return None
        best = self.waiting[0]
        return best[1] if bisect_left(self.ranking, best) < self.count // reduction else None

    def promoted(self, trial: int) -> None:
        """The best waiting trial has left for the next rung."""
        if self.waiting and self.waiting[0][1] == trial:
            heapq.heappop(self.waiting)


def geometric_rungs(lowest: float, highest: float, reduction: int) -> tuple[float, ...]:
    """Fidelities from the highest down by factors of `reduction`, as long as they are at least the lowest.

    >>> [round(r, 3) for r in geometric_rungs(0.1, 3.0, 3)]
    [0.111, 0.333, 1.0, 3.0]
    """
    rungs = [highest]
    while rungs[-1] / reduction >= lowest * (1 - 1e-9):
        rungs.append(rungs[-1] / reduction)
    return tuple(reversed(rungs))
