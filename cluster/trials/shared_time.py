"""The time of one worker, shared out among those that it advances side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final


@final
class SharedTime:
    """The seconds of each assignment: of those that pass while n are in, each is given 1/n.

    Args:
        clock: Seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now = clock()
        self._given = 0.0  # seconds that one who was in all the time would have been given
        self._since: dict[int, float] = {}  # what they were when an assignment came in

    def enter(self, assignment: int) -> None:
        """An assignment is in from now on."""
        self._pass()
        self._since[assignment] = self._given

    def leave(self, assignment: int) -> float:
        """It is out; returns its seconds, none where it was not in."""
        self._pass()
        return self._given - self._since.pop(assignment, self._given)

    def _pass(self) -> None:
        now = self._clock()
        if self._since:
            self._given += (now - self._now) / len(self._since)
        self._now = now
