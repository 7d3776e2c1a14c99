"""What the starts of an assignment cost whose process died before it could say so."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from autotune.events import Outcome
from autotune.ledger import Charge, Label, Ledger


@final
class Losses:
    """Seconds of lost starts that nobody noted, kept until their assignment is answered and charged with it.

    They went into starting the process, or into a workload that takes no notes. Only the answer tells how
    much of the rest lives on: its account goes on from its checkpoint's.
    """

    def __init__(self) -> None:
        self._lost: dict[int, float] = {}  # by assignment

    def lose(self, assignment: int, seconds: float, told: float = 0.0) -> None:
        """A start is lost.

        Args:
            assignment: Whose.
            seconds: That it took.
            told: Seconds of it that were charged as lost at once.
        """
        self._lost[assignment] = self._lost.get(assignment, 0.0) + max(0.0, seconds - told)

    def settle(self, answer: Outcome, last: float) -> Outcome:
        """The answer, charged with what its assignment's lost starts took and no account holds.

        Args:
            answer: By the last start.
            last: Seconds that it took.
        """
        lost = self._lost.pop(answer.assignment, 0.0)
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
