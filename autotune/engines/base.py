"""The contract between a study, which decides, and an engine, which gets work done."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autotune.events import Held, Outcome
from autotune.work import Assignment, Workload


class Engine(ABC):
    """Runs assignments. The loop that decides lives in `Study`, once, for every engine.

    Entering `poll` tells the engine that the study has reacted to everything that it was given before: an
    assignment submitted for the trial that has just reported may then be extended in place.

    Attributes:
        watchdog_s: Seconds without progress after which a trial is ended, and what is tried of it before the
            study begins; None never ends one.
    """

    watchdog_s: float | None = None

    @abstractmethod
    def start(self, workload: Workload) -> None:
        """Make ready for `workload`; called once, before anything else."""

    @abstractmethod
    def submit(self, assignment: Assignment) -> None:
        """Queue an assignment; returns at once."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Outcome]:
        """Wait for outcomes, at most `timeout_s` seconds; none when the time is up."""

    @abstractmethod
    def cancel(self, assignment: int) -> None:
        """Give up an assignment if it has not finished; its outcome may still arrive."""

    @abstractmethod
    def capacity(self) -> int:
        """How many assignments, those in flight included, the study should keep submitted (>= 1)."""

    @abstractmethod
    def close(self) -> None:
        """Stop all work and let everything go; safe to call twice."""

    def held(self) -> Held:
        """What machines were held since `start`, busy or not; nothing where an engine cannot tell."""
        return Held()
