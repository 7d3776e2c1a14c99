"""A study on curves: its decisions, without its training and without waiting."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from autotune.errors import ConfigurationError
from autotune.events import (
    CONFIRM,
    SEARCH,
    VERDICT,
    Config,
    DriverStarted,
    Event,
    Failed,
    Interrupted,
    Opened,
    PhaseStarted,
    Reported,
)
from autotune.history import History, Trial
from autotune.simulation.curves import Curves
from autotune.simulation.fleet import Fleet
from autotune.simulation.work import CurveWorkload
from autotune.study.confirmation import confirmed, contest
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
    """How a search would have gone, and the confirmation of its winner where that was asked for.

    Attributes:
        leaders: Who was ahead in the search, in order of time.
        config: Of who is ahead at the end, or whom the confirmation makes the winner; None when nobody is.
        final: Its score at the horizon; minus infinity when there is none.
        fleet: What it ran on.
        seconds: Virtual time at the end.
        searched: Virtual time at the end of the search.
        busy: Worker-seconds of work, what was lost included.
        lost: Of those, what had to be done again.
        held: Worker-seconds that are paid: of each worker from when it was needed until it was given back.
        spent: What all trials were charged, as the budget counts it.
        trials: How many the search has started.
        finished: How many of them reached the horizon.
        trainings: How many full trainings the confirmation took.
        interrupted: How often a machine was lost under an assignment.
        ended: Why the search ended.
        cut: Why the confirmation did not get all its trainings; None when it did.
        history: Every trial.
    """

    leaders: tuple[Leader, ...]
    config: Config | None
    final: float
    fleet: Fleet
    seconds: float
    searched: float
    busy: float
    lost: float
    held: float
    spent: float
    trials: int
    finished: int
    trainings: int
    interrupted: int
    ended: str
    cut: str | None
    history: History = field(repr=False)

    @property
    def paid(self) -> float:
        """For all workers, as long as they were held."""
        return self.held / 3600 * self.fleet.price

    @property
    def utilisation(self) -> float:
        """Share of what is paid that was work, in [0, 1]."""
        return self.busy / self.held if self.held else 1.0


class Unwritten:
    """A trial log that nobody will replay."""

    def append(self, *events: Event) -> None:
        """Forget them."""


def simulate(curves: Curves, plan: Plan, fleet: Fleet, seed: int = 0, confirm: bool = False) -> Simulation:
    """Search on `curves` as a study with this plan would, until its budget is spent.

    Args:
        curves: What training shows and takes.
        plan: Its budget is in the curves' unit of fidelity, and so are the scheduler's rungs; limits in time
            and money are of virtual time. In `ordered` mode as many trials run at once as there are workers.
        fleet: What it runs on.
        seed: Of stragglers and losses; the plan's own seeds the proposals.
        confirm: Whether the winner is confirmed, too. Its test scores are not read.

    Raises:
        ConfigurationError: When the curves do not hold the plan's rungs, or a budget in money has no price.
    """
    check(curves, plan, fleet)
    if plan.ordered_workers is not None:
        plan = replace(plan, ordered_workers=fleet.workers)
    arms = curves.space.options("policy") or ("full",)
    director = Director(plan, curves.space, arms, entry=curves.entry, test=False)
    identity = {"rungs": list(plan.scheduler.rungs), "plan": plan.to_json(), "reference_flops": 1.0}
    director.apply(Opened(identity))
    director.apply(DriverStarted(0, prices={"local": fleet.price}))
    engine = fleet.engine(seed)
    engine.start(CurveWorkload(curves))
    leaders: list[Leader] = []
    aims = plan.aims
    ahead: Trial | None = None
    interrupted, searched = 0, math.nan

    def place(trial: Trial) -> tuple[float, int, float]:
        return (-aims.violation(trial.metrics), trial.rung, trial.score)

    def able(trial: Trial) -> bool:
        return trial.failure is None and math.isfinite(trial.score)

    def watch(history: History, event: Event) -> None:
        nonlocal ahead, interrupted, searched
        interrupted += isinstance(event, Interrupted)
        if isinstance(event, PhaseStarted) and event.phase == CONFIRM:
            searched = engine.now
        if not isinstance(event, Reported | Failed) or history.trials[event.trial].phase != SEARCH:
            return
        trial, before = history.trials[event.trial], ahead
        if trial is ahead:  # it may have failed, or be past a constraint now
            ahead = max(filter(able, history.trials.values()), key=place, default=None)
        elif able(trial) and (ahead is None or place(trial) > place(ahead)):
            ahead = trial
        if ahead is not None and ahead is not before:
            final = curves.score(ahead.config, curves.horizon)
            leaders.append(Leader(engine.now, director.search_epochs(), ahead.number, final))

    Loop(director, Unwritten(), engine, plan, watch).run(until=VERDICT if confirm else CONFIRM)
    history = director.history
    trials = history.of_phase(SEARCH)
    last = len(plan.scheduler.rungs) - 1
    config = None if ahead is None else ahead.config
    if confirm:
        winner, _ = contest(confirmed(history, director.chosen()))
        config = None if winner is None else winner.candidate.config
    end = math.nan if config is None else curves.score(config, curves.horizon)
    final = end if math.isfinite(end) else -math.inf
    return Simulation(
        tuple(leaders),
        config,
        final,
        fleet,
        engine.now,
        searched,
        engine.busy,
        engine.lost,
        engine.held().machines["local"],
        director.search_epochs(),
        len(trials),
        sum(last in trial.scores for trial in trials),
        len(history.of_phase(CONFIRM)),
        interrupted,
        history.reasons[CONFIRM],
        history.cut,
        history,
    )


def check(curves: Curves, plan: Plan, fleet: Fleet) -> None:
    """Refuse what cannot be simulated.

    Raises:
        ConfigurationError: When the curves do not hold the plan's rungs, or a budget in money has no price.
    """
    lowest, horizon = plan.scheduler.rungs[0], plan.scheduler.rungs[-1]
    if horizon > curves.horizon * (1 + 1e-9):
        raise ConfigurationError(
            f"the plan trains to {horizon:g}, but the curves end at {curves.horizon:g}; lower the horizon of "
            "its scheduler"
        )
    if lowest < curves.lowest:
        raise ConfigurationError(
            f"the plan's lowest rung is {lowest:g}, but the curves begin at {curves.lowest:g}; set `lowest` "
            f"of its scheduler to {curves.lowest:g}"
        )
    if plan.budget.usd is not None and fleet.price == 0:
        raise ConfigurationError("a budget in money needs a price: give --price, or Fleet(price=...)")
