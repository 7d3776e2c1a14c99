"""Whom a death of a worker process is charged to: never to the trial that a machine took along."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

from autotune.cluster.connection import machine_lost


@final
class Deaths:
    """The processes that died, by the assignments that they had.

    One that dies with several tells nothing about which of them it was. So each of them is suspect, and goes
    on alone until it is answered: only a death alone can be what gives one up.

    Args:
        survived: Deaths that one assignment survives.
    """

    def __init__(self, survived: int) -> None:
        self._survived = survived
        self._dead: dict[int, list[Any]] = {}  # by assignment

    def __contains__(self, assignment: int) -> bool:
        return assignment in self._dead

    def add(self, actor: Any, assignments: Iterable[int]) -> None:
        """A process died that had these."""
        for assignment in assignments:
            self._dead.setdefault(assignment, []).append(actor)

    def forget(self, assignment: int) -> None:
        """It is answered, or nobody wants it any more."""
        self._dead.pop(assignment, None)

    def suspects(self) -> set[int]:
        """Assignments of which a process died whose machine lives."""
        actors = {actor for dead in self._dead.values() for actor in dead}  # each asked about once
        gone = {actor for actor in actors if machine_lost(actor)}
        return {assignment for assignment, dead in self._dead.items() if set(dead) - gone}

    def too_many(self, assignment: int) -> int:
        """How often its processes died, if that is more than it survives, else 0."""
        dead = self._dead[assignment]
        if len(dead) > self._survived:  # Ray often tells of a machine's death after those of its processes
            dead[:] = [actor for actor in dead if not machine_lost(actor)]
        return len(dead) if len(dead) > self._survived else 0
