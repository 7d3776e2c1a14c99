"""Trials one after another in the calling thread: breakpoints and profilers work."""

from __future__ import annotations

import math
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

from autotune.engines.base import Engine
from autotune.errors import ConfigurationError, HungError
from autotune.events import Failed, Outcome
from autotune.work import Assignment, Beat, Worker, Workload


@final
class InProcess(Engine):
    """One worker, this process.

    Args:
        watchdog_s: Seconds without progress after which a trial is ended; only in the main thread, where
            Python can be interrupted. None never ends one.
    """

    def __init__(self, watchdog_s: float | None = None) -> None:
        if watchdog_s is not None and not 0 < watchdog_s < math.inf:
            raise ConfigurationError(
                f"watchdog_s must be finite and above 0 seconds, got {watchdog_s}; leave it out for none"
            )
        self._watchdog_s = watchdog_s
        self._queue: deque[Assignment] = deque()
        self._worker: Worker | None = None

    def start(self, workload: Workload) -> None:
        """Build the one worker."""
        self._worker = workload.worker(workload.bulk)

    def submit(self, assignment: Assignment) -> None:
        """Queue an assignment; it runs in `poll`."""
        self._queue.append(assignment)

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Run the next assignment to its end, however long that takes."""
        if self._worker is None or not self._queue:
            return []
        assignment = self._queue.popleft()
        try:
            with _watched(self._watchdog_s) as beat:
                return [self._worker.advance(assignment, beat)]
        except HungError as error:  # the alarm rang where the worker does not listen
            return [Failed(assignment.id, assignment.trial, assignment.rung, "hung", str(error))]

    def cancel(self, assignment: int) -> None:
        """Forget an assignment that has not begun."""
        self._queue = deque(queued for queued in self._queue if queued.id != assignment)

    def capacity(self) -> int:
        """One."""
        return 1

    def close(self) -> None:
        """Let the worker go."""
        self._queue.clear()
        if self._worker is not None:
            self._worker.close()
            self._worker = None


@contextmanager
def _watched(limit_s: float | None) -> Iterator[Beat]:
    """A beat that re-arms an alarm; the alarm raises `HungError` where the trial hangs."""
    if limit_s is None or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        raise HungError(f"no progress for watchdog_s={limit_s} s; raise it if the trial was only slow")

    before: Callable[[int, FrameType | None], object] | int | None = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        yield lambda: _rearm(limit_s)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _rearm(limit_s: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, limit_s)
