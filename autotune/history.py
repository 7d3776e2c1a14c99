"""What a trial log says so far, as one incremental fold over its events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from autotune.events import (
    DONE,
    SEARCH,
    Assigned,
    BudgetSpent,
    Concluded,
    Config,
    DriverStarted,
    Event,
    Failed,
    Held,
    Interrupted,
    LanesChosen,
    Opened,
    PhaseStarted,
    Proposed,
    Reported,
    TestRead,
)
from autotune.ledger import Ledger


class Status(StrEnum):
    """What a trial is doing."""

    RUNNING = "running"  # assigned, and not yet answered
    WAITING = "waiting"  # at a rung; may be promoted
    DONE = "done"  # at the last rung
    FAILED = "failed"


@dataclass(slots=True)
class Trial:
    """One trial, so far.

    Attributes:
        scores: Score by rung; higher is better.
        fidelity: Own epoch-equivalents trained.
        ledger: Everything it was charged.
        failure: Kind and message when it failed.
    """

    number: int
    config: Config
    seed: int
    source: str
    phase: str = SEARCH
    origin: int | None = None
    status: Status = Status.RUNNING
    scores: dict[int, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    fidelity: float = 0.0
    ledger: Ledger = field(default_factory=Ledger)
    failure: tuple[str, str] | None = None

    @property
    def rung(self) -> int:
        """The highest rung reached; -1 before the first."""
        return max(self.scores, default=-1)

    @property
    def score(self) -> float:
        """The score at the highest rung reached; NaN before the first."""
        return self.scores.get(self.rung, math.nan)

    @property
    def arm(self) -> str:
        """The name of its policy."""
        return str(self.config.get("policy", "full"))


@dataclass
class History:
    """The state of a study: what exists, what is in flight, what was spent.

    Attributes:
        study: The identity that the log was opened with.
        drivers: How many there were.
        versions: Of what the last driver ran on.
        prices: Price per hour by type of machine; empty where money is not counted.
        lanes: How many each worker has, where that was measured.
        in_flight: Assignments without an answer, by id.
        due: When each of them ends in virtual time, in epoch-equivalents.
        now: Virtual time.
        spent: What answered assignments were charged, by phase.
        lost: What interrupted assignments had spent in vain, by phase; no budget counts it, so that no
            decision depends on what was interrupted.
        seconds: Device-seconds of both by phase and type of machine.
        machines: Seconds that machines were held, by phase and type; empty where the engine does not tell.
        places: The same of places for a trial.
        unheld: Of `seconds`, those of drivers whose engine did not tell of the machines.
        reads: Test scores by confirmed trial.
        top: The highest rung that any trial has reached; -1 before the first.
        furthest: The trials that have.
        stopped: Why a limit ended the search before its scheduler or searcher did.
        cut: Why a limit ended the confirmation before all seeds were trained.
    """

    study: Mapping[str, Any] = field(default_factory=dict)
    drivers: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    lanes: int | None = None
    trials: dict[int, Trial] = field(default_factory=dict)
    in_flight: dict[int, Assigned] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    now: float = 0.0
    assignments: int = 0
    phase: str = SEARCH
    reasons: dict[str, str] = field(default_factory=dict)
    spent: dict[str, Ledger] = field(default_factory=dict)
    lost: dict[str, Ledger] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    machines: dict[str, dict[str, float]] = field(default_factory=dict)
    places: dict[str, dict[str, float]] = field(default_factory=dict)
    unheld: dict[str, dict[str, float]] = field(default_factory=dict)
    reads: dict[int, TestRead] = field(default_factory=dict)
    top: int = -1
    furthest: list[int] = field(default_factory=list)
    stopped: str | None = None
    cut: str | None = None
    concluded: Concluded | None = None
    last_rung: int = 0

    def apply(self, event: Event) -> History:
        """Take in one more event, in place, and return the same object."""
        match event:
            case Opened():
                self.study = event.study
                self.last_rung = len(event.study.get("rungs", [0.0])) - 1
            case DriverStarted():
                self.drivers += 1
                self.versions = event.versions
                self.prices = self.prices if event.prices is None else event.prices
                self._set_aside()
            case LanesChosen():
                self.lanes = event.lanes
            case Proposed():
                self.trials[event.trial] = Trial(
                    event.trial, event.config, event.seed, event.source, event.phase, event.origin
                )
            case Assigned():
                self.in_flight[event.assignment] = event
                self.due[event.assignment] = self.now + event.until - event.since
                self.assignments = max(self.assignments, event.assignment + 1)
                self.trials[event.trial].status = Status.RUNNING
            case Reported():
                trial = self._answered(event)
                trial.scores[event.rung] = event.score
                self._reached(event.trial, event.rung)
                trial.metrics = event.metrics
                trial.fidelity = event.fidelity
                trial.status = Status.DONE if event.rung >= self.last_rung else Status.WAITING
            case Failed():
                trial = self._answered(event)
                trial.status = Status.FAILED
                trial.failure = (event.kind, event.message)
            case Interrupted():
                self._charge(self.lost, event)
            case TestRead():
                self._answered(event).status = Status.DONE
                self.reads[event.trial] = event
            case Held():
                for name, seconds in event.machines.items():
                    _add(self.machines, self.phase, name, seconds)
                for name, seconds in event.places.items():
                    _add(self.places, self.phase, name, seconds)
            case BudgetSpent() if self.phase == SEARCH:
                self.stopped = event.reason
            case BudgetSpent():
                self.cut = event.reason
            case PhaseStarted():
                self.phase = event.phase
                self.reasons[event.phase] = event.reason
            case Concluded():
                self.phase = DONE
                self.concluded = event
        return self

    def _answered(self, event: Reported | Failed | TestRead) -> Trial:
        self.in_flight.pop(event.assignment, None)
        self.now = max(self.now, self.due.pop(event.assignment, self.now))
        trial = self.trials[event.trial]
        trial.ledger = trial.ledger + event.ledger
        self._charge(self.spent, event)
        return trial

    def _set_aside(self) -> None:
        """What trials took of machines that no driver so far has told of."""
        for phase, busy in self.seconds.items():
            told = self.machines.get(phase, {})
            of_phase = self.unheld.setdefault(phase, {})
            of_phase.update({node: seconds for node, seconds in busy.items() if node not in told})

    def _reached(self, trial: int, rung: int) -> None:
        if rung > self.top:
            self.top, self.furthest = rung, []
        if rung == self.top and trial not in self.furthest[-1:]:
            self.furthest.append(trial)

    def _charge(self, account: dict[str, Ledger], event: Reported | Failed | TestRead | Interrupted) -> None:
        account[self.phase] = account.get(self.phase, Ledger()) + event.ledger
        if seconds := event.ledger.total.seconds:
            _add(self.seconds, self.phase, event.node, seconds)

    def first_due(self) -> int | None:
        """The assignment in flight that ends first in virtual time; the lower id where two end together."""
        return min(self.due, key=lambda assignment: (self.due[assignment], assignment), default=None)

    def of_phase(self, phase: str) -> list[Trial]:
        """The trials of one phase, by number."""
        return [trial for trial in self.trials.values() if trial.phase == phase]

    def called(self, status: Status) -> str:
        """What a person calls a search trial's status: once the search is over, who waits was stopped."""
        return "stopped" if status is Status.WAITING and self.phase != SEARCH else status.value

    def states(self) -> dict[str, int]:
        """How many search trials there are of each status."""
        found = [trial.status for trial in self.of_phase(SEARCH)]
        return {self.called(status): found.count(status) for status in Status}


def _add(account: dict[str, dict[str, float]], phase: str, node: str, seconds: float) -> None:
    by_node = account.setdefault(phase, {})
    by_node[node] = by_node.get(node, 0.0) + seconds
