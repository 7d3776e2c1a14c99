"""The study: a task, a space and a plan, remembered in a folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from autotune.data import Splits
from autotune.engines.base import Engine
from autotune.engines.inprocess import InProcess
from autotune.engines.watchdog import PATIENCE_S, watched
from autotune.events import DONE, SEARCH, DriverStarted, Event, Interrupted, Opened
from autotune.history import History
from autotune.log import Driven, StoredLog, TrialLog, open_log, read_commits
from autotune.policy import entry_fidelity
from autotune.report.page import write_page
from autotune.selection import own_selectors
from autotune.space import SearchSpace
from autotune.storage.location import Remote, locate
from autotune.storage.opening import write_text
from autotune.study.arguments import (
    check_aims,
    check_arguments,
    check_money,
    check_prices,
    check_same_study,
)
from autotune.study.director import Director, replay
from autotune.study.export import export
from autotune.study.loop import Loop, Observer, assignment_of
from autotune.study.plan import Plan
from autotune.study.result import Result
from autotune.task import Task
from autotune.training.preflight import check
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from autotune.work import Workload


@final
class Study:
    """A search for training settings and data policy, remembered in a folder.

    Running it again, in the same or another process, continues where it stopped.

    Args:
        objective: A task, or a workload of one's own.
        space: What to search.
        path: The study's folder; created when absent. Or a prefix in an object store, `s3://bucket/prefix`,
            `gs://…`, `abfs://…`: see docs/storage.md.
        plan: Budget, scheduler, searcher, confirmation, seed.
        engine: `inprocess`, `ray`, or an engine.
        rules: How a trial trains; its horizon is the scheduler's last rung whatever it says.
        prices: Price per hour by type of machine (`local`, or what the autoscaler calls it), in any
            currency; adds a bill. They decide nothing but when a budget in `usd` is spent, and may change:
            the last ones given hold for all that was spent. None leaves what an earlier run said.
        shared: Folder of what is computed once for all trials (features of an encoder, losses of a hold-out
            model), which studies may have in common; None takes one in the study's own folder.

    Attributes:
        plan, space: As they were given.
        path: The folder, or the address.

    Raises:
        ConfigurationError: When something cannot work; nothing has been spent.
    """

    def __init__(
        self,
        objective: Task | Workload,
        space: SearchSpace,
        path: str | Path | Remote,
        plan: Plan,
        engine: str | Engine = "inprocess",
        rules: TrialRules | None = None,
        *,
        prices: Mapping[str, float] | None = None,
        shared: str | Path | Remote | None = None,
    ) -> None:
        check_arguments(objective, space, plan, engine)
        if isinstance(objective, Task):
            check_aims(plan.aims, objective.metric)
        self._prices = check_prices(prices)
        self.path = locate(path)
        self._shared = locate(shared) if shared else self.path / "shared"
        self._objective = objective
        self.space = space
        self.plan = plan
        self._rules = rules or TrialRules(horizon=plan.scheduler.rungs[-1])
        self._engine = engine
        self._enclosed: Mapping[str, str] = {}
        with space.pointing():
            plan.searcher.initial(space)  # which may not fit the space

    def enclose(self, texts: Mapping[str, str]) -> None:
        """Give texts to write into the study's folder when the study begins, by the name of their file.

        A first start that fails has not begun, and leaves none of them.
        """
        self._enclosed = {**self._enclosed, **texts}

    @classmethod
    def resume(cls, path: str | Path | Remote, engine: str | None = None) -> Study:
        """The study that `autotune run` started in this folder, ready to `run` on.

        A study that was started from Python is resumed by running its script again: its model is code, and
        code is never read from storage.

        Args:
            path: The study's folder.
            engine: Another engine than before.

        Raises:
            FolderError: When no study was started from a YAML file there.
            ConfigurationError: When its task can no longer be imported.
        """
        from autotune.study.yaml_form import Launch, resume  # it builds studies, so it imports this module

        return resume(path, Launch(engine))

    def run(self, observe: Observer | None = None) -> Result:
        """Search, confirm, conclude; or continue with whatever is left of that.

        Once it has concluded, the checkpoints of the search are removed; those of what was confirmed stay.

        Args:
            observe: Called for every event after it was committed, with the state of the study; decisions
                that followed from an event are committed with it, so the state may be ahead of the event.

        Raises:
            LockedError: When another driver runs the same study.
            ConfigurationError: When something cannot work; nothing has been spent.
            FolderError: When the folder holds another study, or one of a newer format.
            LogError: When its log is damaged.
            StudyFailedError: When all of the first trials failed alike.
            StorageError: When the folder cannot be written; an object store that is away is waited for.
        """
        log = open_log(self.path / "log")
        try:
            before_s = self._driven_s()
            workload = self.workload(log.epoch)
            director = self._open(log, workload)
            if director.history.phase != DONE:
                engine = self._make_engine()
                try:
                    engine.start(workload)
                    Loop(director, log, engine, self.plan, observe, before_s).run()
                finally:
                    engine.close()
            result = Result(self.path, director.history)
            export(result)
            write_page(result.path)
            if result.done:  # the search is over for good, and what was confirmed began anew
                workload.forget([trial.number for trial in director.history.of_phase(SEARCH)])
            return result
        finally:
            log.close()

    def _driven_s(self) -> float:
        """Seconds that earlier drivers have run, where the budget wants to know."""
        driven = Driven()
        for commit in read_commits(self.path / "log") if self.plan.budget.timed else ():
            driven.add(commit)
        return driven.seconds

    def workload(self, epoch: int = 0) -> Workload:
        """What its engine is given.

        Args:
            epoch: The driver that workers belong to.
        """
        if isinstance(self._objective, Workload):
            return self._objective
        data = self._objective.data
        return TrainingWorkload(
            self._objective,
            self._objective.splits or Splits.make(data, seed=self.plan.seed),
            replace(self._rules, horizon=self.plan.scheduler.rungs[-1]),
            (self.path / "checkpoints").resolve(),
            epoch,
            self.space.reference(),
            seed=self.plan.seed,
            shared=self._shared.resolve(),
            selectors=own_selectors(self.space.options("policy")),
            asked=self.plan.aims.metrics,
        )

    def _director(self, workload: Workload) -> Director:
        horizon = self.plan.scheduler.rungs[-1]
        return Director(
            self.plan,
            self.space,
            arms=self.space.options("policy") or ("full",),
            reference_flops=workload.reference_flops,
            entry=(lambda config: entry_fidelity(config, horizon))
            if isinstance(workload, TrainingWorkload)
            else (lambda config: 0.0),
            test=workload.has_test,
        )

    def _open(self, log: TrialLog | StoredLog, workload: Workload) -> Director:
        """Replay the log, or begin it once everything was found to work."""
        past = log.read()
        opened = next(past, None)
        if opened is None:
            check_money(self.plan.budget, self._prices or {})
        with watched(self._engine.watchdog_s if isinstance(self._engine, Engine) else PATIENCE_S) as beat:
            if opened is None and isinstance(workload, TrainingWorkload):
                check(workload, self.space, beat)
            director = self._director(workload)
        identity = self._identity(workload)
        facts: list[Event] = [DriverStarted(log.epoch, _versions(), self._prices)]
        if opened is not None:
            check_same_study(opened, identity, self.path)
            director.apply(Opened(identity))
            replay(director, past, strict=False)
        else:
            self._write_enclosed()
            facts.insert(0, Opened(identity))
        facts += _lost(director.history, workload)
        check_money(self.plan.budget, director.history.prices if self._prices is None else self._prices)
        log.append(*facts)
        for fact in facts:
            director.apply(fact)
        return director

    def _write_enclosed(self) -> None:
        for name, text in self._enclosed.items():
            write_text(self.path / name, text, "choose another path")

    def _identity(self, workload: Workload) -> dict[str, Any]:
        return {
            "name": self.path.absolute().name,  # a path may be written in several ways
            "space": self.space.to_yaml(),
            "plan": self.plan.to_json(),
            "rungs": list(self.plan.scheduler.rungs),
            "reference_flops": workload.reference_flops,
            **workload.describe(),
        }

    def _make_engine(self) -> Engine:
        if isinstance(self._engine, Engine):
            return self._engine
        if self._engine == "inprocess":
            return InProcess()
        from autotune.cluster.engine import RayEngine  # Ray is slow to import, and not always wanted

        engine: Engine = RayEngine()
        return engine


def _lost(history: History, workload: Workload) -> Iterator[Interrupted]:
    """What went down with an earlier driver, of the assignments that are still due."""
    for due in history.in_flight.values():
        remains = workload.remains(assignment_of(history, due))
        if remains.lost.charges:
            yield Interrupted(due.assignment, due.trial, "its driver died", remains.lost, remains.node)


def _versions() -> dict[str, str]:
    names = ("autotune", "ray", "optuna", "torch", "numpy")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        **{name: version(name) for name in names},
    }
