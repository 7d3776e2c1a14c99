"""The same study decides the same on Ray, in this process, and in virtual time."""

from dataclasses import replace

import pytest

from autotune.cluster.engine import RayEngine
from autotune.engines.function import FunctionWorkload
from autotune.engines.inprocess import InProcess
from autotune.engines.simulated import Simulated
from autotune.events import Assigned, Concluded, PhaseStarted, Proposed
from autotune.log import read_events
from autotune.scheduling.asha import ASHA, Variant
from autotune.searching import TPE
from autotune.space import Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(1e-3, 1.0, log=True)})
PLAN = Plan(Budget(trials=16), ASHA(horizon=3.0, lowest=0.3), TPE(startup=4), Confirm(leaders=2, seeds=2))


def work():
    """A function that travels by value: Ray's workers cannot import test modules."""

    def score(config, fidelity, seed):
        if config["x"] > 0.95:
            raise RuntimeError("too far")
        return 1.0 - (config["x"] - 0.7) ** 2 - 0.1 / (1 + fidelity) + (seed % 1000) * 1e-6

    return FunctionWorkload(score)


def decisions(path, engine, plan):
    Study(work(), SPACE, path, plan, engine).run()
    kinds = Proposed | Assigned | PhaseStarted | Concluded
    return [event for event in read_events(path / "log") if isinstance(event, kinds)]


@pytest.mark.parametrize("variant", list(Variant))
def test_one_worker_decides_the_same_on_every_engine(tmp_path, variant):
    plan = replace(PLAN, scheduler=replace(PLAN.scheduler, variant=variant))
    here = decisions(tmp_path / "here", InProcess(), plan)
    assert decisions(tmp_path / "virtual", Simulated(1), plan) == here
    assert decisions(tmp_path / "ray", RayEngine(workers=1), plan) == here


def test_several_ordered_workers_decide_the_same_on_every_engine(tmp_path):
    plan = replace(
        PLAN, budget=Budget(trials=10), ordered_workers=2
    )  # every missed extension is a new process
    here = decisions(tmp_path / "here", InProcess(), plan)
    assert decisions(tmp_path / "virtual", Simulated(2), plan) == here
    assert decisions(tmp_path / "ray", RayEngine(workers=2), plan) == here
    assert decisions(tmp_path / "lanes", RayEngine(workers=1, lanes=2), plan) == here
