"""What the starts of an assignment cost whose process died before it could say so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import final

from autotune.events import Outcome
from autotune.ledger import Charge, Label, Ledger


@final
class Losses:
    """Seconds of lost starts that nobody noted, kept until their assignment is answered and charged with it.

    They went into starting the process, or into a workload that takes no notes. Only the answer tells how
    much of the rest lives on: its account goes on from its checkpoint's.

    Args:
        clock: Seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: dict[str, float] = {}  # by Tune trial: when its actor took up what it does now
        self._lost: dict[int, float] = {}  # by assignment

    def begin(self, trial_id: str) -> None:
        """A Tune trial's actor takes up an assignment."""
        self._began[trial_id] = self._clock()

    def lose(self, trial_id: str, assignment: int, told: float = 0.0) -> bool:
        """The actor is gone; returns whether it had begun.

        Args:
            trial_id: Of the Tune trial.
            assignment: What the actor worked on.
            told: Seconds of that work that were charged as lost at once.
        """
        began = self._began.pop(trial_id, None)
        if began is None:
            return False
        lost = max(0.0, self._clock() - began - told)
        self._lost[assignment] = self._lost.get(assignment, 0.0) + lost
        return True

    def forget(self, trial_id: str) -> None:
        """The Tune trial has ended."""
        self._began.pop(trial_id, None)

    def settle(self, trial_id: str, answer: Outcome) -> Outcome:
        """The answer, charged with what its assignment's lost starts took and no account holds."""
        lost = self._lost.pop(answer.assignment, 0.0)
        now = self._clock()
        last = now - self._began.get(trial_id, now)
        seconds = unpaid(lost, last, answer.ledger.total.seconds)
        if seconds <= 0:
            return answer
        return replace(answer, ledger=answer.ledger + Ledger({Label.OVERHEAD: Charge(0.0, seconds)}))


def unpaid(lost: float, last: float, paid: float) -> float:
    """Seconds of lost starts that an account does not hold.

    Whatever it holds beyond the last start was saved by the lost ones.

    Args:
        lost: What the lost starts took.
        last: What the last start took, the one that answers.
        paid: What the account holds.

    >>> unpaid(lost=30.0, last=10.0, paid=9.0)
    30.0
    >>> unpaid(lost=30.0, last=10.0, paid=35.0)
    5.0
    """
    return min(lost, max(0.0, lost + last - paid))
