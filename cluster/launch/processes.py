"""Processes that we have started, told from all others for certain."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

PROCESSES: Final = Path("/proc")
BOOT: Final = PROCESSES / "sys/kernel/random/boot_id"


@final
@dataclass(frozen=True)
class Process:
    """One process: its number, and when it began, since numbers come back.

    Attributes:
        pid: Its number.
        began: In ticks since the machine was started.
        parent: Number of the one that started it, or of who took it over.
        session: Number of the process that leads its session.
    """

    pid: int
    began: int
    parent: int
    session: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The one with a number; None when there is none, or one that has ended and was not waited for."""
        try:
            words = (PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if words[0] == "Z" else cls(pid, int(words[19]), int(words[1]), int(words[3]))

    def alive(self) -> bool:
        """Whether it has not ended."""
        now = Process.of(self.pid)
        return now is not None and now.began == self.began

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def family(leader: int, began: int) -> list[Process]:
    """A process that leads a session, what else is in that session, and all that they have started.

    A number stays taken as long as a session has it; so when another process has it now, nobody is left.

    Args:
        leader: Number of the process.
        began: When it began.
    """
    first = Process.of(leader)
    if first is not None and first.began != began:
        return []
    every = [found for entry in PROCESSES.glob("[0-9]*") if (found := Process.of(int(entry.name)))]
    ours = {one.pid: one for one in every if one.session == leader}
    while more := {one.pid: one for one in every if one.parent in ours and one.pid not in ours}:
        ours |= more
    return list(ours.values())


def end(processes: Iterable[Process], patience_s: float) -> None:
    """SIGKILL for those that have not ended by themselves in time."""
    left, until = list(processes), time.monotonic() + patience_s
    while (left := [one for one in left if one.alive()]) and time.monotonic() < until:
        time.sleep(0.1)
    for one in left:
        one.signal(signal.SIGKILL)


def boot() -> str:
    """What tells this start of the machine from others."""
    return BOOT.read_text().strip()
