"""What a study will take, before it has begun: its search in virtual time, and its confirmation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from autotune.errors import ConfigurationError
from autotune.simulation.drawn import Drawn
from autotune.simulation.fleet import Fleet
from autotune.simulation.pace import Pace, measured_epoch, sizes
from autotune.simulation.run import Simulation, simulate
from autotune.study.limits import confirmations
from autotune.study.plan import Budget
from autotune.study.study import Study
from autotune.training.workload import TrainingWorkload


@dataclass(frozen=True)
class Forecast:
    """A study that has not begun.

    Attributes:
        search: How its search may go.
        trainings: How many full trainings confirm its winner, at most.
        confirm_s: How long those take.
        epoch_s: Seconds of one reference epoch-equivalent.
    """

    search: Simulation
    trainings: int
    confirm_s: float
    epoch_s: float

    @property
    def seconds(self) -> float:
        """From the start to the verdict."""
        return self.search.seconds + self.confirm_s

    @property
    def paid(self) -> float:
        """For all workers, from the start to the verdict."""
        fleet = self.search.fleet
        return fleet.workers * self.seconds / 3600 * fleet.price


def pace_of(study: Study, epoch_s: float | None = None) -> Pace:
    """What a study's training takes; measured here for some seconds unless it is said.

    Args:
        study: Of a task.
        epoch_s: Seconds of one reference epoch-equivalent on the machines that it will have.

    Raises:
        ConfigurationError: When there is nothing to measure, or the reference cannot be trained.
    """
    workload = _workload(study)
    return Pace(measured_epoch(workload) if epoch_s is None else epoch_s, sizes(workload))


def forecast(study: Study, pace: Pace, fleet: Fleet, seed: int = 0) -> Forecast:
    """What a study will take with these machines.

    A budget in hours or money ends the search when what is left is what the confirmation takes.

    Args:
        study: Of a task; it may have begun, which changes nothing.
        pace: What its training takes.
        fleet: Its machines; their price is that of one worker.
        seed: Of who wins, of stragglers and of losses.
    """
    plan, workload = study.plan, _workload(study)
    arms = study.space.options("policy") or ("full",)
    trainings = confirmations(plan.confirm, arms, several=bool(plan.aims))
    horizon = plan.scheduler.rungs[-1]
    waves = sum(math.ceil(count / fleet.workers) for count in trainings)
    confirm_s = waves * (fleet.startup + horizon * pace.epoch_s)
    curves = Drawn(study, workload, pace, seed)
    # objectives beside the score would need curves of their own, and change who is promoted, not how many
    plain = replace(plan, budget=_budget(plan.budget, fleet, confirm_s, pace), objectives=(), constraints=())
    return Forecast(simulate(curves, plain, fleet, seed), sum(trainings), confirm_s, pace.epoch_s)


def _budget(budget: Budget, fleet: Fleet, confirm_s: float, pace: Pace) -> Budget:
    """In epoch-equivalents and trials, which virtual time can count."""
    if budget.usd is not None and fleet.price == 0:
        raise ConfigurationError("a budget in money needs a price: give --price, or Fleet(price=...)")
    bought = None if budget.usd is None else budget.usd / fleet.price
    shared = (None if hours is None else hours / fleet.workers for hours in (bought, budget.gpu_hours))
    whole = (None if hours is None else hours - confirm_s / 3600 for hours in (budget.wall, *shared))
    pay = 3600 * fleet.workers / pace.epoch_s  # for so many epoch-equivalents an hour
    limits = [budget.epochs, *(None if hours is None else hours * pay for hours in (budget.hours, *whole))]
    epochs = min((limit for limit in limits if limit is not None), default=None)
    if epochs is not None and not epochs > 0:
        raise ConfigurationError(
            f"the budget does not cover its confirmation, {confirm_s / 3600:.3g} hours on {fleet.workers} "
            "workers; raise it, or lower confirm.leaders, confirm.seeds or the horizon"
        )
    return Budget(epochs, budget.trials)


def _workload(study: Study) -> TrainingWorkload:
    workload = study.workload()
    if not isinstance(workload, TrainingWorkload):
        raise ConfigurationError("a forecast needs a task; what a workload of one's own takes is not known")
    return workload
