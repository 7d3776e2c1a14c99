"""The loop of a study: commit outcomes one at a time, and let the director decide for every free worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Final, Protocol, TypeAlias, final

from autotune.engines.base import Engine
from autotune.errors import StudyError, StudyFailedError, unknown
from autotune.events import (
    CONFIRM,
    DONE,
    VERDICT,
    Assigned,
    BudgetSpent,
    Concluded,
    Event,
    Failed,
    Held,
    Interrupted,
    Outcome,
    PhaseStarted,
    Reported,
    TestRead,
)
from autotune.history import History, Status, Trial
from autotune.study.director import Director
from autotune.study.limits import Clock, busy_s, exceeded
from autotune.study.plan import Plan
from autotune.work import Assignment

Observer: TypeAlias = Callable[[History, Event], None]
ALIKE: Final = 10  # so many first trials failing in the same way end the study
ALIKE_CONFIRMING: Final = 3  # and so many confirmations, whose settings are known to work
NUMBER: Final = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)
POLL_S: Final = 1.0
HELD_S: Final = 15.0  # how often what is held is noted: as much a killed driver leaves out of the bill


class Written(Protocol):
    """Where events are kept; they are there for good when `append` returns."""

    def append(self, *events: Event) -> None:
        """Keep them, all or none."""


@final
class Loop:
    """Commit outcomes one at a time, and after each let the director decide for every free worker.

    Args:
        director: Decides.
        log: Keeps what happened.
        engine: Trains; started.
        plan: How to search.
        observe: Is told of every event.
        driven_s: Seconds that earlier drivers have run.
    """

    def __init__(
        self,
        director: Director,
        log: Written,
        engine: Engine,
        plan: Plan,
        observe: Observer | None,
        driven_s: float = 0.0,
    ) -> None:
        self._director = director
        self._log = log
        self._engine = engine
        self._workers = plan.ordered_workers
        self._asked = plan.aims.metrics
        self._plan = plan
        self._began = self._engine.clock()
        self._driven_s = driven_s
        self._since: dict[int, float] = {}  # when each assignment in flight was submitted
        self._told = Held()  # of what the engine has held, that which is in the log
        self._told_at = self._began
        self._busy_before = busy_s(director.history)
        self._observe = observe
        self._ready: dict[int, Outcome] = {}
        self._ends: Set[str] = {DONE}

    @property
    def _history(self) -> History:
        return self._director.history

    def run(self, until: str = DONE) -> None:
        """Until the study has concluded, or has come to the phase `until`, of which nothing is begun."""
        self._ends = {until, DONE}
        chosen = self._engine.choose_lanes(self._plan.most_in_flight, self._history.lanes)
        for assigned in list(self._history.in_flight.values()):
            self._submit(assigned)  # due since before this driver started
        self._react(*([chosen] if chosen else []))
        while self._history.phase not in self._ends:
            if not self._history.in_flight:
                raise StudyError(
                    "internal error: no trial is running and none was decided on; please report it"
                )
            outcomes = self._engine.poll(POLL_S)
            if self._engine.clock() - self._told_at >= HELD_S:
                self._react(*self._newly_held())
            for outcome in outcomes:
                self._receive(outcome)
            while (ready := self._next_ready()) is not None:
                self._react(_as_read(self._ready.pop(ready), self._history.phase))

    def _receive(self, outcome: Outcome) -> None:
        if outcome.assignment not in self._history.in_flight:
            return  # answered before: a second answer changes nothing
        if isinstance(outcome, Interrupted):
            self._react(outcome)
        else:
            reading = self._history.phase == VERDICT
            self._ready[outcome.assignment] = outcome if reading else _complete(outcome, self._asked)

    def _next_ready(self) -> int | None:
        first = self._history.first_due() if self._workers is not None else next(iter(self._ready), None)
        return first if first in self._ready else None

    def _react(self, *facts: Event) -> None:
        """Take in what happened, decide for every free worker, commit all of that at once, then act."""
        committed: list[Event] = []
        self._take_in(facts, committed)
        limit = self._workers if self._workers is not None else self._engine.capacity()
        while len(self._history.in_flight) < limit and self._history.phase not in self._ends:
            if not (decided := self._director.decide()):
                break
            if isinstance(decided[0], PhaseStarted | Concluded):  # what was held so far was for this phase
                self._take_in(self._newly_held(), committed)
            elif reason := self._exceeded(decided, limit):
                decided = [BudgetSpent(reason)]
            self._take_in(decided, committed)
        self._log.append(*committed)  # one synchronisation of the disk for a fact and what follows from it
        for event in committed:
            if self._observe is not None:
                self._observe(self._history, event)
            if isinstance(event, Failed):
                _stop_if_all_fail_alike(self._history)
            if isinstance(event, Assigned):
                self._submit(event)

    def _take_in(self, events: Iterable[Event], committed: list[Event]) -> None:
        for event in events:
            self._director.apply(event)
            committed.append(event)
            if isinstance(event, Reported | Failed | TestRead):
                self._since.pop(event.assignment, None)
            elif isinstance(event, Interrupted):  # what it took so far is charged, and it begins again
                self._since[event.assignment] = self._engine.clock()

    def _submit(self, assigned: Assigned) -> None:
        self._since[assigned.assignment] = self._engine.clock()
        self._engine.submit(assignment_of(self._history, assigned))

    def _newly_held(self) -> list[Event]:
        """What the engine has held since this was last told."""
        held = self._engine.held()
        news, self._told, self._told_at = held - self._told, held, self._engine.clock()
        return [news] if any(news.machines.values()) else []

    def _exceeded(self, decided: Sequence[Event], limit: int) -> str | None:
        """Why the budget does not cover what was decided; None when it does."""
        if not self._plan.budget.timed:
            return None
        now = self._engine.clock()
        places = max(1, limit // self._engine.lanes)
        wall_s = self._driven_s + now - self._began
        clock = Clock(wall_s, self._running_s(now), places, self._engine.devices)
        given = self._plan.budget, self._plan.confirm, self._director.arms
        return exceeded(self._history, decided, *given, clock)

    def _running_s(self, now: float) -> float:
        """Device-seconds that what is in flight has taken so far.

        From when it was submitted, in places that lanes share, or several of which a trial takes; but no more
        than places were there for it, where the engine knows: it may wait for a machine that boots.
        """
        elapsed = sum(now - at for at in self._since.values()) * self._engine.devices / self._engine.lanes
        held = self._engine.held()
        if not held.machines:
            return elapsed
        answered = busy_s(self._history) - self._busy_before
        return min(elapsed, max(0.0, sum(held.places.values()) - answered))


def assignment_of(history: History, assigned: Assigned) -> Assignment:
    """What an engine is given for a decision."""
    trial = history.trials[assigned.trial]
    return Assignment(
        assigned.assignment,
        assigned.trial,
        trial.config,
        trial.seed,
        assigned.rung,
        assigned.since,
        assigned.until,
        test=history.phase == VERDICT,
    )


def _complete(outcome: Reported | Failed, asked: Iterable[str]) -> Reported | Failed:
    """A report that lacks a metric by which trials are ranked is a failure, whatever made it."""
    missing = [] if isinstance(outcome, Failed) else [name for name in asked if name not in outcome.metrics]
    if isinstance(outcome, Failed) or not missing:
        return outcome
    message = f"the report lacks what the plan asks for: {unknown('metric', missing[0], outcome.metrics)}"
    a = outcome
    return Failed(a.assignment, a.trial, a.rung, "metric", message, a.ledger, a.node)


def _as_read(event: Event, phase: str) -> Event:
    if isinstance(event, Reported) and phase == VERDICT:
        return TestRead(event.assignment, event.trial, event.score, event.metrics, event.ledger, event.node)
    return event


def _cause(trial: Trial) -> tuple[str, str]:
    """What two failures have in common that are alike: numbers in an error may be those of the trial."""
    kind, message = trial.failure or ("error", "")
    return kind, NUMBER.sub("#", message) if kind == "error" else ""


def _stop_if_all_fail_alike(history: History) -> None:
    first = [history.trials[number] for number in range(min(ALIKE, len(history.trials)))]
    if len(first) == ALIKE and _alike(first):
        kind, message = first[0].failure or ("error", "")
        raise StudyFailedError(
            f"all of the first {ALIKE} trials failed alike ({kind}): {message}; fix the task and start a "
            "new study, or look at one trial with engine='inprocess'"
        )
    if history.phase != CONFIRM:
        return
    ended = [t for t in history.of_phase(CONFIRM) if t.status is not Status.RUNNING]
    if len(ended) >= ALIKE_CONFIRMING and _alike(ended[-ALIKE_CONFIRMING:]):
        kind, message = ended[-1].failure or ("error", "")
        raise StudyFailedError(
            f"{ALIKE_CONFIRMING} confirmations in a row failed alike ({kind}): {message}; their settings "
            "worked in the search, so look for what has changed since (code, data, disk), fix it and run it "
            "again: it goes on with the remaining confirmations"
        )


def _alike(trials: Sequence[Trial]) -> bool:
    """Whether all of them failed for the same cause."""
    failed = all(trial.status is Status.FAILED for trial in trials)
    return failed and len({_cause(trial) for trial in trials}) == 1
