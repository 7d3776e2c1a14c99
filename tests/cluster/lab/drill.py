"""A study on a cluster of hosts, and what is done to it while it runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from autotune.study import Result

from . import metadata
from .cluster import Cluster
from .driver import Setup
from .host import Host
from .process import Process
from .reading import Fault, Note, Notes, figures, quantile, recoveries, stepping
from .work import HURRY

PATIENCE_S = 180.0  # for anything to happen, on a machine that does much else
LOOK_S = 0.1


@final
class Drill:
    """Runs a study, takes things away from it, and waits until it goes on without them.

    Args:
        cluster: Started.
        setup: The study.
        folder: Of the study, shared by all hosts.
        seat: The host of its driver; None takes the head.
    """

    def __init__(self, cluster: Cluster, setup: Setup, folder: Path, seat: Host | None = None) -> None:
        self.cluster, self.setup, self.folder, self._seat = cluster, setup, folder, seat
        self.faults: list[Fault] = []
        self.seconds: dict[str, list[float]] = {}  # until trials stepped again, by kind of fault
        self._notes = Notes(folder)
        setup.write(folder)
        self.driver = self._drive()

    def await_steps(self, on: Host | None = None) -> dict[int, Note]:
        """Wait until a trial is in the middle of a quantum, on a host or anywhere; returns them all.

        Raises:
            StudyOverError: When there will be none.
        """
        return until(lambda: self._stepping(on), "a trial stepped", self._over)

    def busiest(self) -> Host:
        """The worker with the most trials in the middle of a quantum, once there is one."""
        seen = [note.host for note in self.await_steps().values()]
        return self.cluster.workers[max(set(seen), key=seen.count)]

    def kill_node(self, host: Host) -> Fault:
        """SIGKILL for all processes of a host."""
        return self._fault("node", host, host.kill)

    def power_off(self, host: Host) -> Fault:
        """A host is gone without a word."""
        return self._fault("power", host, host.power_off)

    def kill_worker(self, note: Note) -> Fault:
        """SIGKILL for the process that a trial is in."""
        fault = Fault("worker", time.time(), {note.trial: (note.host, note.pid)}, note.host)
        self.cluster.workers[note.host].run(["kill", "-9", str(note.pid)])
        self.faults.append(fault)
        return fault

    def kill_driver(self) -> Fault:
        """SIGKILL for the driver, and another one takes over."""
        fault = self._fault("driver", None, self._kill_driver)
        self.driver = self._drive()
        return fault

    def give_notice(self, host: Host) -> Fault:
        """SIGTERM, as before a spot machine or a pod is taken; it has 30 s to leave."""
        agent = self.cluster.agent(host)

        def notify() -> float:
            at = time.time()
            agent.signal(signal.SIGTERM)
            return at

        return self._fault("notice", host, notify)

    def announce(self, host: Host, told: Path, grace_s: float = 120.0) -> Fault:
        """The cloud's metadata service says that it will take a spot machine; nobody sends a signal."""

        def notify() -> float:
            at = time.time()
            metadata.notify(told, host.address, datetime.fromtimestamp(at + grace_s, UTC).isoformat())
            return at

        return self._fault("announcement", host, notify)

    def lose_head(self, down_s: float, restart: Callable[[], None]) -> Fault:
        """SIGKILL for the head, and another one in its place after a while; trials need not notice.

        Args:
            down_s: Seconds without one.
            restart: Starts it.
        """
        fault = Fault("head", self.cluster.head.kill(), {})
        self.faults.append(fault)
        time.sleep(down_s)
        restart()
        return fault

    def recover(self, fault: Fault) -> list[float]:
        """Wait until every trial that was hit steps again; returns the seconds that each took.

        One that reached its rung all the same, just before its process was gone, need not step again.
        """

        def waiting() -> bool:
            missing = fault.trials.keys() - recoveries(self._notes.look(), fault).keys()
            return bool(missing and missing & self._due())

        until(lambda: not waiting(), f"the trials of {fault} stepped again", self._over)
        seconds = list(recoveries(self._notes.look(), fault).values())
        self.seconds.setdefault(fault.kind, []).extend(seconds)
        return seconds

    def go_on(self, seconds: float) -> None:
        """Let the study go on for a while.

        Raises:
            StudyOverError: When it has ended.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (why := self._over()) is not None:
                raise StudyOverError(why)
            time.sleep(LOOK_S)

    def finish(self, timeout_s: float = 900.0, hurry: bool = True) -> dict[str, Any]:
        """Wait for the study's end; returns its figures.

        Args:
            timeout_s: How long at most.
            hurry: Whether quanta take no time from now on.

        Raises:
            RuntimeError: When the driver fails.
        """
        if hurry:
            (self.folder / HURRY).touch()
        if self.driver.wait(timeout_s) != 0:
            raise RuntimeError(f"the driver failed: {self.driver.tail()}")
        ended = time.time()
        every = [seconds for taken in self.seconds.values() for seconds in taken]
        return {
            **figures(self.setup, self.folder, self.faults),
            "stepped_s": round(ended - self._notes.look()[0].t, 1),
            "p50_s": round(quantile(every, 0.5), 2),
            "p95_s": round(quantile(every, 0.95), 2),
            "seconds": {kind: [round(s, 2) for s in taken] for kind, taken in self.seconds.items()},
        }

    def _drive(self) -> Process:
        return self.cluster.drive(self.folder, self._seat or self.cluster.head)

    def _due(self) -> set[int]:
        """Trials that the log says are to be advanced."""
        history = Result.load(self.folder / "study").history
        return {assigned.trial for assigned in history.in_flight.values()}

    def _stepping(self, on: Host | None) -> Mapping[int, Note]:
        found = stepping(self._notes.look())
        living = {name for name, host in self.cluster.workers.items() if host.alive}
        return {
            trial: note
            for trial, note in found.items()
            if note.host in living and (on is None or note.host == on.name)
        }

    def _fault(self, kind: str, host: Host | None, act: Callable[[], float]) -> Fault:
        before = self._stepping(host)
        trials = {trial: (note.host, note.pid) for trial, note in before.items()}
        fault = Fault(kind, act(), trials, None if host is None else host.name)
        self.faults.append(fault)
        return fault

    def _kill_driver(self) -> float:
        at = time.time()
        self.driver.kill()
        return at

    def _over(self) -> str | None:
        return None if self.driver.running else f"the driver has ended: {self.driver.tail()}"


class StudyOverError(RuntimeError):
    """The driver has ended, well or not."""


def until(look: Callable[[], Any], what: str, over: Callable[[], str | None] = lambda: None) -> Any:
    """What `look` returns once it is true.

    Raises:
        StudyOverError: When `over` says why that will never be.
        TimeoutError: After `PATIENCE_S`.
    """
    end = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        if (why := over()) is not None:
            raise StudyOverError(f"waited until {what}, but {why}")
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_S} s until {what}")
        time.sleep(LOOK_S)
    return seen
