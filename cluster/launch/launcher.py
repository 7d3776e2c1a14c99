"""What all launchers have in common, and which one a spec has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, final


class State(StrEnum):
    """What a launcher knows of a cluster."""

    ABSENT = "absent"
    STARTING = "starting"
    UP = "up"


@final
@dataclass(frozen=True)
class Seen:
    """A look at a cluster.

    Attributes:
        state: Whether there is one.
        said: The launcher's own words.
    """

    state: State
    said: str = ""


class Launcher(Protocol):
    """Starts and ends one cluster, from files that were rendered."""

    def look(self) -> Seen:
        """Whether it is there; asks the launcher each time."""

    def start(self) -> None:
        """Begin to start it; `look` tells when it is up."""

    def stop(self) -> None:
        """End it and everything that runs on it; nothing happens where there is none."""

    def on_head(self, line: str, patience_s: float) -> str:
        """What a line of a shell prints on the head; `python` there has autotune.

        Raises:
            ClusterError: When the head cannot be reached, or the line fails.
        """

    def door(self) -> AbstractContextManager[str]:
        """The dashboard's address, as this machine reaches it for as long as the context lasts."""
