"""Machines in virtual time: each from when it is needed until it has been idle for a while."""

from __future__ import annotations

import math
from typing import final


@final
class Machines:
    """As many as are needed at once; the first is used first, so the last is given back first.

    Args:
        idle: Time after which a machine with nothing to do is given back, at least 0; infinity for never.
    """

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._since: list[float] = []  # when each that is held was needed
        self._idle_since: list[float] = []  # infinity while it works; the later, the earlier its place
        self._sum, self._before = 0.0, 0.0

    def occupy(self, place: int, now: float) -> bool:
        """Put the machine of a place to work, all places before it being at work; whether it has to boot."""
        self._give_back(now)
        if place < len(self._since):
            self._idle_since[place] = math.inf
            return False
        self._since.append(now)
        self._idle_since.append(math.inf)
        self._sum += now
        return True

    def leave(self, place: int, now: float) -> None:
        """The machine of the last place that is at work has nothing to do any more."""
        self._idle_since[place] = now

    def held(self, now: float) -> float:
        """Time that all machines together have been held."""
        self._give_back(now)
        return self._before + len(self._since) * now - self._sum

    def _give_back(self, now: float) -> None:
        while self._idle_since and now - self._idle_since[-1] > self._idle:
            since = self._since.pop()
            self._before += self._idle_since.pop() + self._idle - since
            self._sum -= since
