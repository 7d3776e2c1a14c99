"""The study: one loop for every engine, which asks the director, commits to the log, and hands out work."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from autotune.data import Splits
from autotune.engines.base import Assignment, Engine, Workload
from autotune.engines.inprocess import InProcess
from autotune.errors import ConfigurationError, LogError, StudyError, StudyFailedError, unknown
from autotune.events import (
    DONE,
    SEARCH,
    VERDICT,
    Assigned,
    BudgetSpent,
    DriverStarted,
    Event,
    Failed,
    Interrupted,
    Opened,
    Outcome,
    Reported,
    TestRead,
)
from autotune.history import History, Status
from autotune.log import TrialLog, read_events
from autotune.policy import Policy
from autotune.space import SearchSpace
from autotune.study.director import Director, replay
from autotune.study.export import export
from autotune.study.plan import Plan
from autotune.study.result import Result
from autotune.task import Task
from autotune.training.preflight import check
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload

Observer: TypeAlias = Callable[[History, Event], None]
ALIKE: Final = 10  # so many first trials failing in the same way end the study
POLL_S: Final = 1.0
ENGINES: Final = ("inprocess", "ray")


@final
class Study:
    """A search for training settings and data policy, remembered in a folder.

    Running it again, in the same or another process, continues where it stopped.

    Args:
        objective: A task, or a workload of one's own.
        space: What to search.
        path: The study's folder; created when absent.
        plan: Budget, scheduler, searcher, confirmation, seed.
        engine: `inprocess`, `ray`, or an engine.
        rules: How a trial trains; its horizon is the scheduler's last rung whatever it says.

    Raises:
        ConfigurationError: When something cannot work; nothing has been spent.
    """

    def __init__(
        self,
        objective: Task | Workload,
        space: SearchSpace,
        path: str | Path,
        plan: Plan,
        engine: str | Engine = "inprocess",
        rules: TrialRules | None = None,
    ) -> None:
        self.path = Path(path)
        self._objective = objective
        self._space = space
        self._plan = plan
        self._rules = rules or TrialRules(horizon=plan.scheduler.rungs[-1])
        self._engine = engine

    def run(self, observe: Observer | None = None) -> Result:
        """Search, confirm, conclude; or continue with whatever is left of that.

        Args:
            observe: Called after every event, with the state of the study.

        Raises:
            LockedError: When another driver runs the same study.
            LogError: When the folder holds another study.
            StudyFailedError: When all of the first trials failed alike.
            StorageError: When the folder cannot be written.
        """
        log = TrialLog(self.path / "log")
        try:
            workload = self._workload(log.epoch)
            director = self._director(workload)
            self._open(log, director, workload)
            if director.history.phase != DONE:
                engine = self._make_engine()
                try:
                    engine.start(workload)
                    _Loop(director, log, engine, self._plan, observe).run()
                finally:
                    engine.close()
            result = Result(self.path, director.history)
            export(result)
            return result
        finally:
            log.close()

    def _workload(self, epoch: int) -> Workload:
        if isinstance(self._objective, Workload):
            return self._objective
        data = self._objective.data
        return TrainingWorkload(
            self._objective,
            self._objective.splits or Splits.make(data, seed=self._plan.seed),
            replace(self._rules, horizon=self._plan.scheduler.rungs[-1]),
            (self.path / "checkpoints").resolve(),
            epoch,
            self._space.reference(),
        )

    def _director(self, workload: Workload) -> Director:
        horizon = self._plan.scheduler.rungs[-1]
        return Director(
            self._plan,
            self._space,
            arms=self._space.options("policy") or ("full",),
            reference_flops=workload.reference_flops,
            entry=(lambda config: Policy.from_config(config).fair_fidelity(horizon))
            if isinstance(workload, TrainingWorkload)
            else (lambda config: 0.0),
            test=workload.has_test,
        )

    def _open(self, log: TrialLog, director: Director, workload: Workload) -> None:
        identity = self._identity(workload)
        if len(log):
            events = read_events(self.path / "log")
            _same_study(next(events), identity, self.path)
            director.apply(Opened(identity))
            replay(director, events)
        else:
            if isinstance(workload, TrainingWorkload):
                check(workload, self._space)
            log.append(Opened(identity))
            director.apply(Opened(identity))
        started = DriverStarted(log.epoch, _versions())
        log.append(started)
        director.apply(started)

    def _identity(self, workload: Workload) -> dict[str, Any]:
        return {
            "name": self.path.name,
            "space": self._space.to_yaml(),
            "plan": self._plan.to_json(),
            "rungs": list(self._plan.scheduler.rungs),
            "reference_flops": workload.reference_flops,
            **workload.describe(),
        }

    def _make_engine(self) -> Engine:
        if isinstance(self._engine, Engine):
            return self._engine
        if self._engine == "inprocess":
            return InProcess()
        if self._engine == "ray":
            from autotune.cluster.engine import RayEngine  # Ray is slow to import, and not always wanted

            engine: Engine = RayEngine()
            return engine
        raise ConfigurationError(unknown("engine", self._engine, ENGINES))


class _Loop:
    """Commit outcomes one at a time, and after each let the director decide for every free worker."""

    def __init__(
        self, director: Director, log: TrialLog, engine: Engine, plan: Plan, observe: Observer | None
    ) -> None:
        self._director = director
        self._log = log
        self._engine = engine
        self._workers = plan.ordered_workers
        hours = plan.budget.hours
        self._deadline = None if hours is None else time.monotonic() + hours * 3600
        self._observe = observe
        self._ready: dict[int, Outcome] = {}

    @property
    def _history(self) -> History:
        return self._director.history

    def run(self) -> None:
        """Until the study has concluded."""
        for assigned in list(self._history.in_flight.values()):
            self._submit(assigned)  # due since before this driver started
        self._fill()
        while self._history.phase != DONE:
            if not self._history.in_flight:
                raise StudyError("nothing is in flight and nothing was decided; please report it")
            for outcome in self._engine.poll(POLL_S):
                self._receive(outcome)
            while (ready := self._next_ready()) is not None:
                self._commit(self._ready.pop(ready))
                self._fill()
            self._watch_clock()

    def _receive(self, outcome: Outcome) -> None:
        if outcome.assignment not in self._history.in_flight:
            return  # answered before: a second answer changes nothing
        if isinstance(outcome, Interrupted):
            self._commit(outcome)
        else:
            self._ready[outcome.assignment] = outcome

    def _next_ready(self) -> int | None:
        first = self._history.first_due() if self._workers is not None else next(iter(self._ready), None)
        return first if first in self._ready else None

    def _commit(self, *events: Event) -> None:
        committed = [_as_read(event, self._history.phase) for event in events]
        self._log.append(*committed)
        for event in committed:
            self._director.apply(event)
            if self._observe is not None:
                self._observe(self._history, event)
            if isinstance(event, Failed):
                _stop_if_all_fail_alike(self._history)

    def _fill(self) -> None:
        limit = self._workers if self._workers is not None else self._engine.capacity()
        while len(self._history.in_flight) < limit and self._history.phase != DONE:
            events = self._director.decide()
            if not events:
                return
            self._commit(*events)
            for event in events:
                if isinstance(event, Assigned):
                    self._submit(event)

    def _submit(self, assigned: Assigned) -> None:
        trial = self._history.trials[assigned.trial]
        self._engine.submit(
            Assignment(
                assigned.assignment,
                assigned.trial,
                trial.config,
                trial.seed,
                assigned.rung,
                assigned.since,
                assigned.until,
                test=self._history.phase == VERDICT,
            )
        )

    def _watch_clock(self) -> None:
        over = self._deadline is not None and time.monotonic() > self._deadline
        if over and self._history.phase == SEARCH and self._history.stopped is None:
            self._commit(BudgetSpent("the hours of the budget are over"))
            self._fill()


def _as_read(event: Event, phase: str) -> Event:
    if isinstance(event, Reported) and phase == VERDICT:
        return TestRead(event.assignment, event.trial, event.score, event.metrics, event.ledger)
    return event


def _stop_if_all_fail_alike(history: History) -> None:
    first = [history.trials[number] for number in range(min(ALIKE, len(history.trials)))]
    if len(first) < ALIKE or any(trial.status is not Status.FAILED for trial in first):
        return
    failures = {trial.failure for trial in first}
    if len(failures) == 1:
        kind, message = failures.pop() or ("error", "")
        raise StudyFailedError(
            f"all of the first {ALIKE} trials failed alike ({kind}): {message}; mend the task and start a "
            "new study, or look at one trial with engine='inprocess'"
        )


def _same_study(opened: Event, identity: Mapping[str, Any], path: Path) -> None:
    if not isinstance(opened, Opened):
        raise LogError(f"the log in {path} does not begin with a study; choose another path")
    differing = [key for key in identity if opened.study.get(key) != identity[key]]
    if differing:
        raise LogError(
            f"{path} holds another study: {', '.join(differing)} differ; choose another path, or go back to "
            "what it was started with to continue it"
        )


def _versions() -> dict[str, str]:
    names = ("autotune", "ray", "optuna", "torch", "numpy")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        **{name: version(name) for name in names},
    }
