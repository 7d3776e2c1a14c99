"""The contract between a study, which decides, and an engine, which gets work done."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Final

from autotune.errors import ConfigurationError
from autotune.events import Held, LanesChosen, Outcome
from autotune.work import Assignment, Workload

AUTO: Final = "auto"  # as many lanes as are measured to be worth having


class Engine(ABC):
    """Runs assignments. The loop that decides lives in `Study`, once, for every engine.

    Entering `poll` tells the engine that the study has reacted to everything that it was given before: an
    assignment submitted for the trial that has just reported may then be extended in place.

    Attributes:
        watchdog_s: Seconds without progress after which a trial is ended, and what is tried of it before the
            study begins; None never ends one.
        lanes: Trials that share the place of one.
        devices: Places of one that a trial takes.
    """

    watchdog_s: float | None = None
    lanes: int = 1
    devices: int = 1

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

    def choose_lanes(self, most: int, before: int | None = None) -> LanesChosen | None:
        """Settle how many trials a worker advances side by side, if that was left to be measured.

        Called after `start`, before anything is submitted.

        Args:
            most: Trials in flight that can be of use to the study.
            before: What an earlier driver of the study measured: that holds.

        Returns:
            What was measured now.
        """
        return None

    def clock(self) -> float:
        """Seconds since some moment, by which budgets of time are counted."""
        return time.monotonic()

    def held(self) -> Held:
        """What machines were held since `start`, busy or not; nothing where an engine cannot tell."""
        return Held()


def check_lanes(lanes: object) -> None:
    """Refuse a number of lanes that is none; YAML may hold anything.

    Raises:
        ConfigurationError: When it is neither a whole number of at least 1 nor `auto`.
    """
    number = isinstance(lanes, int) and not isinstance(lanes, bool) and lanes >= 1
    if lanes != AUTO and not number:
        raise ConfigurationError(f"lanes must be a whole number of at least 1, or {AUTO!r}, got {lanes!r}")
