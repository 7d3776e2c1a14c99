"""A search on curves: the decisions of a study, without its training and without waiting."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autotune.events import CONFIRM, SEARCH, Config, Event, Interrupted, Opened, Reported
from autotune.history import History
from autotune.simulation.curves import Curves
from autotune.simulation.fleet import Fleet
from autotune.simulation.work import CurveWorkload
from autotune.study.director import Director
from autotune.study.loop import Loop
from autotune.study.plan import Plan


@dataclass(frozen=True)
class Leader:
    """Who was ahead from some moment on.

    Attributes:
        seconds: Virtual time of that moment.
        spent: What all trials had been charged by then, as the budget counts it.
        trial: Its number.
        final: Its score at the horizon, whether it was trained that far or not.
    """

    seconds: float
    spent: float
    trial: int
    final: float


@dataclass(frozen=True)
class Simulation:
    """How a search would have gone.

    Attributes:
        leaders: Who was ahead, in order of time.
        config: Of the last of them; None when no trial has a score.
        fleet: What it ran on.
        seconds: Virtual time at the end.
        busy: Worker-seconds of work, what was lost included.
        spent: What all trials were charged, as the budget counts it.
        trials: How many were started.
        finished: How many reached the horizon.
        interrupted: How often a machine was lost under an assignment.
        history: Every trial.
    """

    leaders: tuple[Leader, ...]
    config: Config | None
    fleet: Fleet
    seconds: float
    busy: float
    spent: float
    trials: int
    finished: int
    interrupted: int
    history: History = field(repr=False)

    @property
    def final(self) -> float:
        """Score at the horizon of who is ahead at the end; minus infinity when nobody is."""
        return self.leaders[-1].final if self.leaders else -math.inf

    @property
    def paid(self) -> float:
        """For all workers from the beginning to the end."""
        return self.fleet.workers * self.seconds / 3600 * self.fleet.price

    @property
    def utilisation(self) -> float:
        """Share of the workers' time that was work, in [0, 1]."""
        return self.busy / (self.fleet.workers * self.seconds) if self.seconds else 1.0


class Unwritten:
    """A trial log that nobody will replay."""

    def append(self, *events: Event) -> None:
        """Forget them."""


def simulate(curves: Curves, plan: Plan, fleet: Fleet, seed: int = 0) -> Simulation:
    """Search on `curves` as a study with this plan would, until its budget is spent; nothing is confirmed.

    Args:
        curves: What training shows and takes.
        plan: Its budget is in the curves' unit of fidelity, and so are the scheduler's rungs.
        fleet: What it runs on.
        seed: Of stragglers and losses; the plan's own seeds the proposals.
    """
    director = Director(plan, curves.space, entry=curves.entry, test=False)
    director.apply(Opened({"rungs": list(plan.scheduler.rungs), "plan": plan.to_json()}))
    engine = fleet.engine(seed)
    engine.start(CurveWorkload(curves))
    leaders: list[Leader] = []
    aims = plan.aims
    best, interrupted = (-math.inf, -1, -math.inf), 0

    def watch(history: History, event: Event) -> None:
        nonlocal best, interrupted
        interrupted += isinstance(event, Interrupted)
        if not isinstance(event, Reported):
            return
        place = (-aims.violation(event.metrics), event.rung, event.score)
        if place > best:
            best = place
            final = curves.score(history.trials[event.trial].config, curves.horizon)
            leaders.append(Leader(engine.now, director.search_epochs(), event.trial, final))

    Loop(director, Unwritten(), engine, plan, watch).run(until=CONFIRM)
    trials = director.history.of_phase(SEARCH)
    last = len(plan.scheduler.rungs) - 1
    return Simulation(
        tuple(leaders),
        director.history.trials[leaders[-1].trial].config if leaders else None,
        fleet,
        engine.now,
        engine.busy,
        director.search_epochs(),
        len(trials),
        sum(last in trial.scores for trial in trials),
        interrupted,
        director.history,
    )
