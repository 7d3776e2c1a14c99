"""Trials in virtual time: N workers, stragglers and crashes, without waiting for any of them."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias, final

from autotune.engines.base import Engine
from autotune.errors import ConfigurationError
from autotune.events import Interrupted, Outcome
from autotune.work import Assignment, Worker, Workload

Duration: TypeAlias = Callable[[Assignment, Outcome], float]


def declared(assignment: Assignment, outcome: Outcome) -> float:
    """The compute that was asked for, in the trial's own epoch-equivalents."""
    return assignment.until - assignment.since


@final
class Simulated(Engine):
    """Runs each assignment at once, and delivers its outcome when virtual time reaches its end.

    Args:
        workers: How many assignments run at the same virtual time; at least 1.
        duration: Virtual time that an assignment takes.
        crash_rate: Probability that an assignment is interrupted once before it succeeds, in [0, 1).
        seed: Seeds the crashes.
        loss_rate: Workers lost per worker and unit of virtual time, at least 0; what ran there begins again
            on another, as often as that happens.

    Attributes:
        now: Virtual time.
        busy: Virtual time of all workers together that assignments took, what was lost included.
    """

    def __init__(
        self,
        workers: int = 1,
        duration: Duration = declared,
        crash_rate: float = 0.0,
        seed: int = 0,
        loss_rate: float = 0.0,
    ) -> None:
        if workers < 1:
            raise ConfigurationError(f"workers must be at least 1, got {workers}")
        if not 0.0 <= crash_rate < 1.0:
            raise ConfigurationError(f"crash_rate must be in [0, 1), got {crash_rate}")
        if not 0.0 <= loss_rate < float("inf"):
            raise ConfigurationError(f"loss_rate must be finite and at least 0, got {loss_rate}")
        self.now = 0.0
        self.busy = 0.0
        self._loss_rate = loss_rate
        self._workers = workers
        self._duration = duration
        self._crash_rate = crash_rate
        self._random = random.Random(seed)
        self._queue: deque[Assignment] = deque()
        self._running: set[int] = set()
        self._events: list[tuple[float, int, int, Outcome]] = []
        self._worker: Worker | None = None

    def start(self, workload: Workload) -> None:
        """Build the one worker that really computes."""
        self._worker = workload.worker(workload.bulk)

    def submit(self, assignment: Assignment) -> None:
        """Start on a free worker at the present virtual time, or queue."""
        self._queue.append(assignment)
        self._fill()

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Jump to the next event."""
        if not self._events:
            return []
        self.now, _, order, outcome = heapq.heappop(self._events)
        if order == 1:
            self._running.discard(outcome.assignment)
            self._fill()
        return [outcome]

    def cancel(self, assignment: int) -> None:
        """Forget an assignment; one that runs frees its worker now."""
        self._queue = deque(queued for queued in self._queue if queued.id != assignment)
        if assignment in self._running:
            self._running.discard(assignment)
            self._events = [event for event in self._events if event[1] != assignment]
            heapq.heapify(self._events)
            self._fill()

    def capacity(self) -> int:
        """As many as there are workers."""
        return self._workers

    def close(self) -> None:
        """Let the worker go."""
        self._queue.clear()
        self._events.clear()
        self._running.clear()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _fill(self) -> None:
        while self._queue and len(self._running) < self._workers and self._worker is not None:
            assignment = self._queue.popleft()
            outcome = self._worker.advance(assignment, lambda: None)
            duration = self._duration(assignment, outcome)
            self._running.add(assignment.id)
            begins = self.now
            for crash in self._crashes(duration):
                begins += crash
                lost = Interrupted(assignment.id, assignment.trial, "simulated crash")
                heapq.heappush(self._events, (begins, assignment.id, 0, lost))
            self.busy += begins + duration - self.now
            heapq.heappush(self._events, (begins + duration, assignment.id, 1, outcome))

    def _crashes(self, duration: float) -> Iterator[float]:
        """How far each start came that did not get through."""
        if self._random.random() < self._crash_rate:
            yield self._random.random() * duration
        while self._loss_rate and (lost := self._random.expovariate(self._loss_rate)) < duration:
            yield lost
