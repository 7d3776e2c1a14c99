"""Trials in virtual time: N workers, stragglers and lost machines, without waiting for any of them."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, final

from autotune.engines.base import Engine
from autotune.engines.machines import Machines
from autotune.errors import ConfigurationError
from autotune.events import Held, Interrupted, Outcome
from autotune.ledger import Charge, Label, Ledger
from autotune.work import Assignment, Worker, Workload

Duration: TypeAlias = Callable[[Assignment, Outcome], float]
Attempts: TypeAlias = Callable[[float], Sequence[float]]


def declared(assignment: Assignment, outcome: Outcome) -> float:
    """The compute that was asked for, in the trial's own epoch-equivalents."""
    return assignment.until - assignment.since


def undisturbed(duration: float) -> list[float]:
    """The first attempt gets through."""
    return [duration]


@final
class Simulated(Engine):
    """Runs each assignment at once, and delivers its outcome when virtual time reaches its end.

    Args:
        workers: How many assignments run at the same virtual time; at least 1.
        duration: Virtual time that an assignment takes.
        crash_rate: Probability that an assignment is interrupted once before it succeeds, in [0, 1).
        seed: Seeds the crashes.
        attempts: How long each attempt at an assignment of some duration takes; all but the last are lost,
            and their machines with them.
        boot: Virtual time from when a machine is wanted, at first or for a lost one, to when it is there.
        idle: Virtual time after which a machine with nothing to do is given back.
        charged: Whether virtual time is in seconds, all of which trials are charged.

    Attributes:
        now: Virtual time.
        busy: Virtual time of all workers together that assignments took, what was lost included.
        lost: Of that, what had to be done again.
    """

    def __init__(
        self,
        workers: int = 1,
        duration: Duration = declared,
        crash_rate: float = 0.0,
        seed: int = 0,
        attempts: Attempts = undisturbed,
        boot: float = 0.0,
        idle: float = math.inf,
        charged: bool = False,
    ) -> None:
        if workers < 1:
            raise ConfigurationError(f"workers must be at least 1, got {workers}")
        if not 0.0 <= crash_rate < 1.0:
            raise ConfigurationError(f"crash_rate must be in [0, 1), got {crash_rate}")
        self.now = 0.0
        self.busy = 0.0
        self.lost = 0.0
        self._workers = workers
        self._duration = duration
        self._crash_rate = crash_rate
        self._random = random.Random(seed)
        self._attempts = attempts
        self._boot = boot
        self._charged = charged
        self._machines = Machines(idle)
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
            self._free(outcome.assignment)
        return [outcome]

    def cancel(self, assignment: int) -> None:
        """Forget an assignment; one that runs frees its worker now."""
        self._queue = deque(queued for queued in self._queue if queued.id != assignment)
        if assignment in self._running:
            self._events = [event for event in self._events if event[1] != assignment]
            heapq.heapify(self._events)
            self._free(assignment)

    def capacity(self) -> int:
        """As many as there are workers."""
        return self._workers

    def clock(self) -> float:
        """Virtual time."""
        return self.now

    def held(self) -> Held:
        """Each machine from when it was wanted to when it was given back."""
        seconds = {"local": self._machines.held(self.now)}
        return Held(seconds, seconds)

    def close(self) -> None:
        """Let the worker go."""
        self._queue.clear()
        self._events.clear()
        self._running.clear()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _interrupted(self, assignment: Assignment, seconds: float) -> Interrupted:
        spent = Ledger({Label.OVERHEAD: Charge(0.0, seconds)}) if self._charged else Ledger()
        return Interrupted(assignment.id, assignment.trial, "simulated crash", spent)

    def _free(self, assignment: int) -> None:
        """An assignment is over: one machine fewer is needed."""
        self._running.discard(assignment)
        self._machines.leave(len(self._running), self.now)
        self._fill()

    def _fill(self) -> None:
        while self._queue and len(self._running) < self._workers and self._worker is not None:
            assignment = self._queue.popleft()
            outcome = self._worker.advance(assignment, lambda: None)
            duration = self._duration(assignment, outcome)
            begins = self.now + self._boot * self._machines.occupy(len(self._running), self.now)
            self._running.add(assignment.id)
            *lost, last = self._attempts(duration)
            if self._random.random() < self._crash_rate:
                lost.append(self._random.random() * duration)
            for length in lost:
                begins += length
                heapq.heappush(
                    self._events, (begins, assignment.id, 0, self._interrupted(assignment, length))
                )
                begins += self._boot
            if self._charged and not isinstance(outcome, Interrupted):
                lasting = _lasting(outcome.ledger, last)
                outcome = outcome if lasting is outcome.ledger else replace(outcome, ledger=lasting)
            self.busy += sum(lost) + last
            self.lost += sum(lost) + last - duration
            heapq.heappush(self._events, (begins + last, assignment.id, 1, outcome))


def _lasting(ledger: Ledger, seconds: float) -> Ledger:
    """The account of what took so long; what it lacks is overhead, below 0 where part was done before."""
    more = seconds - ledger.total.seconds
    return ledger if more == 0.0 else ledger + Ledger({Label.OVERHEAD: Charge(0.0, more)})
