"""Room for assignments in one worker process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from autotune.cluster.trials.shared_time import SharedTime
from autotune.work import Assignment


@dataclass
class Seat:
    """A worker process, and the one that replaces it when it dies, in the life of one Tune trial.

    Attributes:
        inside: Assignments that it has, by id.
        actor: Ray's id of the process.
        running: Whether there is a process that has begun.
        leaving: Whether its machine is about to go: then it takes nobody in.
        hung: Whether a trial hangs in it: then it is ended, which is the fault of no other.
        stillborn: Processes that did not start, in a row.
        part: Of a GPU, where it is larger than that of others.
        time: The seconds that the process gives to each assignment.
    """

    inside: dict[int, Assignment] = field(default_factory=dict)
    actor: Any = None
    running: bool = False
    leaving: bool = False
    hung: bool = False
    stillborn: int = 0
    part: float | None = None
    time: SharedTime = field(default_factory=SharedTime)

    def __iter__(self) -> Iterator[Assignment]:
        """What is in, the oldest first; safe while they leave."""
        return iter(list(self.inside.values()))

    def __len__(self) -> int:
        return len(self.inside)

    def begin(self, actor: Any) -> None:
        """A process has begun."""
        self.actor, self.running, self.stillborn = actor, True, 0

    def end(self) -> None:
        """The process is gone; the next one may be on another machine."""
        self.running = self.leaving = self.hung = False

    def enter(self, assignment: Assignment) -> None:
        """Take one in."""
        self.inside[assignment.id] = assignment
        self.time.enter(assignment.id)

    def leave(self, assignment: int) -> float:
        """Let one go; returns the seconds that the process gave to it."""
        self.inside.pop(assignment, None)
        return self.time.leave(assignment)
