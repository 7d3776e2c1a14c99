"""Whom a death of a worker process is charged to: never to the trial that a machine took along."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from autotune.cluster.live.connection import machine_lost

SHORT: Final = "running low on memory"  # Ray's own words, as are the next
GONE: Final = "node has died"
SETTLED_S: Final = 10.0  # after a death it is known whether the machine went with it; before, that is a guess


@final
class Deaths:
    """The processes that died, by the assignments that they had.

    One that dies with several tells nothing about which of them it was. So each of them is suspect, and goes
    on alone until it is answered: only a death alone can be what gives one up. Who got further between two
    deaths is in no circle, and is counted anew.

    Args:
        survived: Deaths that one assignment survives without getting any further.
        clock: Seconds, from any origin.
    """

    def __init__(self, survived: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._survived, self._clock = survived, clock
        self._dead: dict[int, list[tuple[Any, float]]] = {}  # by assignment: the process, and when it died
        self._saved: dict[int, float] = {}  # by assignment: how far it was by then

    def __contains__(self, assignment: int) -> bool:
        return assignment in self._dead

    def add(self, actor: Any, saved: Mapping[int, float], sure: bool = False) -> None:
        """A process died.

        Args:
            actor: That it was.
            saved: What it had, and how much of each is saved, in FLOPs.
            sure: Whether its machine is known to live.
        """
        at = -math.inf if sure else self._clock()
        for assignment, amount in saved.items():
            if amount > self._saved.get(assignment, 0.0):
                self._dead.pop(assignment, None)
                self._saved[assignment] = amount
            self._dead.setdefault(assignment, []).append((actor, at))

    def forget(self, assignment: int) -> None:
        """It is answered, or nobody wants it any more."""
        self._dead.pop(assignment, None)
        self._saved.pop(assignment, None)

    def suspects(self) -> set[int]:
        """Assignments of which a process died whose machine lives."""
        actors = {actor for dead in self._dead.values() for actor, _ in dead}  # each asked about once
        gone = {actor for actor in actors if machine_lost(actor)}
        return {one for one, dead in self._dead.items() if {actor for actor, _ in dead} - gone}

    def too_many(self, assignment: int) -> int:
        """How often its processes died, if that is more than it survives, else 0.

        Ray often tells of a machine's death after those of its processes, so the latest ones do not count
        yet: the assignment is begun again, and is given up at a later death.
        """
        dead = self._dead[assignment]
        if len(dead) > self._survived:
            dead[:] = [(actor, at) for actor, at in dead if not machine_lost(actor)]
        settled = sum(self._clock() - at >= SETTLED_S for _, at in dead)
        return len(dead) if settled > self._survived else 0
