"""Trials in the calling thread, one after another or side by side: breakpoints and profilers work."""

from __future__ import annotations

import time
from collections import deque
from typing import final

from autotune.engines.base import AUTO, Engine, check_lanes
from autotune.engines.watchdog import PATIENCE_S, check_limit, watched
from autotune.events import Held, LanesChosen, Outcome
from autotune.work import Assignment, InTurn, Lanes, Worker, Workload


@final
class InProcess(Engine):
    """One worker, this process.

    Args:
        watchdog_s: Seconds without progress after which a trial is ended as `hung`; None never ends one, and
            neither can be ended what runs outside the main thread, under a debugger or in compiled code.
        lanes: Trials in training at the same time, at least 1. With several, those whose models have the same
            shape make their steps together, where that was measured to be faster: for many small models.
            Their results equal those of one lane up to rounding, not to the last bit. `auto` measures on the
            reference configuration how many are worth it; the study's log keeps the number.
    """

    def __init__(self, watchdog_s: float | None = PATIENCE_S, lanes: int | str = 1) -> None:
        check_limit(watchdog_s)
        check_lanes(lanes)
        self.watchdog_s = watchdog_s
        self._measures = lanes == AUTO
        self.lanes = lanes if isinstance(lanes, int) else 1
        self._inside: set[int] = set()  # assignments that are in a lane
        self._queue: deque[Assignment] = deque()
        self._worker: Worker | None = None
        self._began: float | None = None
        self._inner: Lanes | None = None

    def start(self, workload: Workload) -> None:
        """Build the one worker."""
        self._began = time.monotonic()
        self._worker = workload.worker(workload.bulk)

    def choose_lanes(self, most: int, before: int | None = None) -> LanesChosen | None:
        """Measured by the worker, in this process."""
        if not self._measures or self._worker is None:
            return None
        self._measures = False
        if before is not None:
            self.lanes = before
            return None
        self.lanes, reason = self._worker.lanes_worth(most, part=1.0)
        return LanesChosen(self.lanes, reason)

    def submit(self, assignment: Assignment) -> None:
        """Queue an assignment; it runs in `poll`."""
        self._queue.append(assignment)

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Fill the lanes, and run until one of them has come to its end, however long that takes."""
        if self._worker is None:
            return []
        if self._inner is None:
            self._inner = InTurn(self._worker) if self.lanes == 1 else self._worker.lanes()
        while self._queue and len(self._inside) < self.lanes:
            assignment = self._queue.popleft()
            self._inside.add(assignment.id)
            self._inner.enter(assignment)
        outcomes: list[Outcome] = []
        with watched(self.watchdog_s) as beat:
            while self._inside and not outcomes:
                outcomes = self._inner.advance(beat)
        self._inside -= {outcome.assignment for outcome in outcomes}
        return outcomes

    def cancel(self, assignment: int) -> None:
        """Forget an assignment; one in a lane leaves it."""
        self._queue = deque(queued for queued in self._queue if queued.id != assignment)
        if self._inner is not None and assignment in self._inside:
            self._inside.discard(assignment)
            self._inner.leave(assignment)

    def capacity(self) -> int:
        """As many as there are lanes."""
        return self.lanes

    def held(self) -> Held:
        """This machine, with its one place, which lanes share."""
        if self._began is None or self._worker is None:
            return Held()
        seconds = {self._worker.node: time.monotonic() - self._began}
        return Held(seconds, seconds)

    def close(self) -> None:
        """Let the worker go."""
        self._queue.clear()
        self._inside.clear()
        if self._inner is not None:
            self._inner.close()
            self._inner = None
        if self._worker is not None:
            self._worker.close()
            self._worker = None
