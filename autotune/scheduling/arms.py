"""Every arm meets every rung before it is dropped for good: whose turn it is to be taken further."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autotune.scheduling.base import Fits, Promote


@dataclass
class Arms:
    """The arms of a search, as far as they have come, and what was spent on taking them further.

    An arm that is behind early may be ahead late: a rule that leaves out wrong labels is, once others have
    learnt them by heart. So the best trial that each arm has at a rung goes on to the next one as soon as
    another arm has a result there, whatever its rank, as long as that costs no more than a share of all that
    is assigned; the cheapest steps first, and of those at one rung the best score.

    Attributes:
        rungs: Of the scheduler.
        arm: Of each search trial.
        best: At each rung, the best finite score of each arm that has one there, and its trial.
        begun: At each rung, the arms that were assigned there.
        assigned: Epoch-equivalents of all assignments.
        lent: Those of representatives.
    """

    rungs: tuple[float, ...]
    arm: dict[int, str] = field(default_factory=dict)
    best: list[dict[str, tuple[float, int]]] = field(init=False)
    begun: list[set[str]] = field(init=False)
    assigned: float = 0.0
    lent: float = 0.0

    def __post_init__(self) -> None:
        self.best, self.begun = [{} for _ in self.rungs], [set() for _ in self.rungs]

    def begin(self, trial: int, rung: int, step: float, represents: bool) -> None:
        """A trial was assigned to a rung, `step` epoch-equivalents from where it was."""
        self.begun[rung].add(self.arm[trial])
        self.assigned += step
        self.lent += step * represents

    def answer(self, trial: int, rung: int, score: float) -> None:
        """A trial has come to a rung, or failed on the way, which says nothing of its arm."""
        if math.isfinite(score):
            arm = self.arm[trial]
            self.best[rung][arm] = max(self.best[rung].get(arm, (-math.inf, -1)), (score, trial))

    def next(self, share: float, fits: Fits) -> Promote | None:
        """The next representative; None where no arm is behind, or its step would cost too much."""
        for rung, best in enumerate(self.best[:-1]):
            step = self.rungs[rung + 1] - self.rungs[rung]
            if self.lent + step > share * self.assigned or not self.best[rung + 1]:
                continue
            behind = [place for arm, place in best.items() if arm not in self.begun[rung + 1]]
            for _, trial in sorted(behind, reverse=True):
                if fits(going := Promote(trial, rung + 1)):
                    return going
        return None
