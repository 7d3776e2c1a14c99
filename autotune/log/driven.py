"""How long a study has been driven, from the times of its commits."""

from __future__ import annotations

from typing import final

from autotune.events import DriverStarted, Opened
from autotune.log.form import Commit


@final
class Driven:
    """Adds up, commit by commit.

    Attributes:
        seconds: That drivers have run, without the pauses between them.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def add(self, commit: Commit) -> None:
        """Take in the next commit."""
        if isinstance(commit.events[0], Opened | DriverStarted):
            self._since = commit.time_s
        self.seconds += max(0.0, commit.time_s - self._since)  # clocks of machines differ
        self._since = max(self._since, commit.time_s)  # time never runs back
