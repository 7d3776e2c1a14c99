"""What `benchmarks.overhead` compares: trials that do nothing but report, on stock Ray Tune and on ours."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune

from autotune.cluster.engine import RayEngine
from autotune.engines.function import FunctionWorkload
from autotune.events import SEARCH, Event, PhaseStarted, Reported
from autotune.history import History
from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.extrapolating import Extrapolating
from autotune.scheduling.full import FullTraining
from autotune.search_spaces.policies import policies
from autotune.searching import TPE, FairStart
from autotune.searching.base import Searcher
from autotune.searching.prior import Belief, Prior
from autotune.space import Float, SearchSpace
from autotune.study import Budget, Plan, Study
from autotune.work import Assignment
from benchmarks.scale import Timed

REPORTS = 10
SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(1e-3, 1.0, log=True)})


def score(config: Any, fidelity: float, seed: int) -> float:
    """What a trial computes: nothing worth mentioning."""
    return float(config["x"]) * fidelity


def reporting(config: dict[str, Any]) -> None:
    """The same as a stock function trainable."""
    for step in range(REPORTS):
        tune.report({"score": score(config, step + 1.0, 0)})


class Reporting(tune.Trainable):
    """The same as a class trainable that is reused."""

    def setup(self, config: dict[str, Any]) -> None:
        """Nothing is built."""
        self._given = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Any configuration fits."""
        self._given = new_config
        return True

    def step(self) -> dict[str, Any]:
        """One report."""
        step = self.training_iteration + 1
        return {"score": score(self._given, step, 0), "done": step >= REPORTS}


@dataclass
class Clock(tune.Callback):
    """When trials end, and how much private memory the driver has then.

    Attributes:
        done: One pair of seconds and KB for each trial.
        proposing_s: Processor time of proposals, where that is told apart.
    """

    began: float = field(default_factory=time.perf_counter)
    done: list[tuple[float, float]] = field(default_factory=list)
    proposing_s: float = 0.0

    def tick(self) -> None:
        """A trial has ended."""
        self.done.append((time.perf_counter() - self.began, resident_kb()))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Ray Tune tells."""
        self.tick()

    def observe(self, history: History, event: Event) -> None:
        """A study tells; its search alone is measured."""
        if (
            isinstance(event, Reported)
            and event.rung == REPORTS - 1
            and history.trials[event.trial].phase == "search"
        ):
            self.tick()
        elif isinstance(event, PhaseStarted):
            raise KeyboardInterrupt


def resident_kb() -> float:
    """Anonymous memory of this process that is resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def run_stock(trainable: Any, trials: int, seed: int, folder: str, **options: Any) -> Clock:
    """Ray Tune as it comes."""
    np.random.seed(seed)  # noqa: NPY002  # Ray Tune draws from the global generator
    clock = Clock()
    config = tune.TuneConfig(num_samples=trials, **options)
    checkpoints = tune.CheckpointConfig(checkpoint_at_end=False)
    run = tune.RunConfig(storage_path=folder, callbacks=[clock], checkpoint_config=checkpoints, verbose=0)
    space = {"x": tune.uniform(0, 1), "y": tune.loguniform(1e-3, 1)}
    tune.Tuner(trainable, tune_config=config, run_config=run, param_space=space).fit()
    return clock


def run_engine(trials: int, seed: int) -> Clock:
    """Our engine, extended by a loop that decides nothing."""
    engine, clock = RayEngine(), Clock()
    engine.start(FunctionWorkload(score))
    started = flying = number = 0

    def submit(trial: int, rung: int) -> None:
        nonlocal number
        engine.submit(Assignment(number, trial, {"x": 0.5}, seed, rung, float(rung), rung + 1.0))
        number += 1

    while len(clock.done) < trials:
        while started < trials and flying < engine.capacity():
            submit(started, 0)
            started, flying = started + 1, flying + 1
        for outcome in engine.poll(1.0):
            if isinstance(outcome, Reported) and outcome.rung < REPORTS - 1:
                submit(outcome.trial, outcome.rung + 1)
            elif isinstance(outcome, Reported):
                flying -= 1
                clock.tick()
    engine.close()
    return clock


def run_everything(trials: int, seed: int, folder: str) -> Clock:
    """The same with all that a search can have switched on; a tick is a report, for few trials end."""
    clock = Clock()
    scheduler = Extrapolating(AdaptiveASHA(float(REPORTS), 1.0, lent=0.25))
    searcher, proposing = FairStart(Prior({"x": Belief(0.9)}, TPE())), Timed(FairStart, "propose")
    plan = Plan(Budget(trials=trials), scheduler, searcher, seed=seed)

    def observe(history: History, event: Event) -> None:
        if isinstance(event, Reported) and history.phase == SEARCH:
            clock.tick()
        elif isinstance(event, PhaseStarted):
            raise KeyboardInterrupt

    space = SPACE | {"policy": policies()}
    study = Study(FunctionWorkload(score), space, Path(folder, "study"), plan, RayEngine())
    with contextlib.suppress(KeyboardInterrupt):
        study.run(observe)
    clock.proposing_s = proposing.seconds
    return clock


def run_study(trials: int, seed: int, folder: str, searcher: Searcher[Any]) -> Clock:
    """The search of a whole study: decisions, log with fsync, engine."""
    clock = Clock()
    scheduler = FullTraining(float(REPORTS), reports=REPORTS)
    plan = Plan(Budget(trials=trials), scheduler, searcher, seed=seed)
    study = Study(FunctionWorkload(score), SPACE, Path(folder, "study"), plan, RayEngine())
    with contextlib.suppress(KeyboardInterrupt):  # the end of the search ends the measurement
        study.run(clock.observe)
    return clock
