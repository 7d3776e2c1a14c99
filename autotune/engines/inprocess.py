"""Trials one after another in the calling thread: breakpoints and profilers work."""

from __future__ import annotations

import time
from collections import deque
from typing import final

from autotune.engines.base import Engine
from autotune.engines.watchdog import PATIENCE_S, check_limit, watched
from autotune.errors import HungError
from autotune.events import Failed, Held, Outcome
from autotune.work import Assignment, Worker, Workload


@final
class InProcess(Engine):
    """One worker, this process.

    Args:
        watchdog_s: Seconds without progress after which a trial is ended as `hung`; None never ends one, and
            neither can be ended what runs outside the main thread, under a debugger or in compiled code.
    """

    def __init__(self, watchdog_s: float | None = PATIENCE_S) -> None:
        check_limit(watchdog_s)
        self.watchdog_s = watchdog_s
        self._queue: deque[Assignment] = deque()
        self._worker: Worker | None = None
        self._began: float | None = None

    def start(self, workload: Workload) -> None:
        """Build the one worker."""
        self._began = time.monotonic()
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
            with watched(self.watchdog_s) as beat:
                return [self._worker.advance(assignment, beat)]
        except HungError as error:  # the alarm rang where the worker does not listen
            return [Failed(assignment.id, assignment.trial, assignment.rung, "hung", str(error))]

    def cancel(self, assignment: int) -> None:
        """Forget an assignment that has not begun."""
        self._queue = deque(queued for queued in self._queue if queued.id != assignment)

    def capacity(self) -> int:
        """One."""
        return 1

    def held(self) -> Held:
        """This machine, with its one place."""
        if self._began is None or self._worker is None:
            return Held()
        seconds = {self._worker.node: time.monotonic() - self._began}
        return Held(seconds, seconds)

    def close(self) -> None:
        """Let the worker go."""
        self._queue.clear()
        if self._worker is not None:
            self._worker.close()
            self._worker = None
