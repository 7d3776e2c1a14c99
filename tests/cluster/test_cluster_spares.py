"""Trials start in plain processes, and one that Tune keeps for nobody is let go."""

import os
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray.tune import Trainable
from ray.tune.execution.class_cache import _ActorClassCache

from autotune.cluster.connection import start_local, switches
from autotune.cluster.engine import RayEngine
from autotune.cluster.render.common import WARM
from autotune.cluster.spares import KEPT_S, Kept, plain_processes
from autotune.engines.function import FunctionWorkload
from autotune.scheduling.full import FullTraining
from autotune.searching import RandomSearch
from autotune.space import Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study


class Controller:
    """Tune's, as far as it keeps processes."""

    def __init__(self):
        self._actor_cache = SimpleNamespace(num_cached_objects=0)

    def _cleanup_cached_actors(self, force_all):
        assert force_all
        self._actor_cache.num_cached_objects = 0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_idle_process_is_let_go_after_a_while_and_one_that_was_used_meanwhile_is_not():
    controller, clock = Controller(), Clock()
    kept, shown = Kept(clock), SimpleNamespace(_tune_controller=controller)

    def look(now, held):
        clock.now, controller._actor_cache.num_cached_objects = now, held
        kept.look(shown)
        return controller._actor_cache.num_cached_objects

    assert look(0.0, 1) == 1
    assert look(KEPT_S - 1.0, 1) == 1
    assert look(KEPT_S, 0) == 0  # a trial took it
    assert look(KEPT_S + 1.0, 1) == 1
    assert look(2.0 * KEPT_S, 1) == 1
    assert look(2.0 * KEPT_S + 2.0, 1) == 0


def processes_with_torch():
    """Workers of Ray on this machine that are nobody's and have imported it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            waits = (folder / "cmdline").read_bytes().startswith(b"ray::IDLE")
            if waits and "libtorch_cpu" in (folder / "maps").read_text():
                found.append(int(folder.name))
    return found


@pytest.mark.ray
@pytest.mark.skipif(os.cpu_count() == 1, reason="there is no second core to keep off")
def test_a_process_that_was_ready_keeps_to_the_cores_of_its_trial(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def threads(config, fidelity, seed):
        import os

        import torch

        return {"score": float(torch.get_num_threads()), "process": float(os.getpid())}

    with switches(WARM):
        start_local(1)
    try:
        ends = time.monotonic() + 60.0
        while not (ready := processes_with_torch()):
            assert time.monotonic() < ends, "no process became ready"
            time.sleep(0.2)
        plan = Plan(Budget(trials=1), FullTraining(1.0), RandomSearch(), Confirm(leaders=1, seeds=2))
        space = SearchSpace({"x": Float(0.0, 1.0)})
        result = Study(FunctionWorkload(threads), space, tmp_path, plan, RayEngine(workers=1)).run()
        first = result.history.trials[0]
        assert first.metrics["process"] in ready
        assert first.score == 1.0
    finally:
        ray.shutdown()


def environment():
    return _ActorClassCache().get(Trainable)._default_options["runtime_env"].get("env_vars", {})


def test_no_key_of_the_driver_travels_in_the_environment_of_an_actor(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    before = environment()
    assert before["AWS_SECRET_ACCESS_KEY"] == "planted"  # what Tune does by itself
    with plain_processes():
        assert environment() == {}
    assert environment() == before
