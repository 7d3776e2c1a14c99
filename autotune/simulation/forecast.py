"""What a study will take, before it has begun: its search in virtual time, and its confirmation."""

from __future__ import annotations

from dataclasses import replace

from autotune.errors import ConfigurationError
from autotune.simulation.drawn import Drawn
from autotune.simulation.fleet import Fleet
from autotune.simulation.pace import Pace, measured_epoch, sizes
from autotune.simulation.run import Simulation, simulate
from autotune.study.study import Study
from autotune.training.workload import TrainingWorkload


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


def forecast(study: Study, pace: Pace, fleet: Fleet, seed: int = 0) -> Simulation:
    """What a study will take with these machines, its confirmation included.

    Where the budget does not cover the confirmation, `Simulation.cut` says why.

    Args:
        study: Of a task; it may have begun, which changes nothing.
        pace: What its training takes.
        fleet: Its machines; their price is that of one worker.
        seed: Of who wins, of stragglers and of losses.
    """
    curves = Drawn(study, _workload(study), pace, seed)
    # objectives beside the score would need curves of their own, and change who is promoted, not how many
    plan = replace(study.plan, objectives=(), constraints=())
    return simulate(curves, plan, fleet, seed, confirm=True)


def _workload(study: Study) -> TrainingWorkload:
    workload = study.workload()
    if not isinstance(workload, TrainingWorkload):
        raise ConfigurationError("a forecast needs a task; what a workload of one's own takes is not known")
    return workload
