"""Trials start in plain processes, and one that Tune keeps for nobody is let go."""

import os
from types import SimpleNamespace

import pytest
from driving import drive
from ray.tune import Trainable
from ray.tune.execution.class_cache import _ActorClassCache

from autotune.cluster.trials.spares import KEPT_S, Kept, plain_processes


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


@pytest.mark.ray
@pytest.mark.skipif(os.cpu_count() == 1, reason="there is no second core to keep off")
def test_a_process_that_was_ready_keeps_to_the_cores_of_its_trial(tmp_path):
    told = drive("ready_driver.py", tmp_path)
    if told["process"] not in told["ready"]:
        pytest.skip("Ray began another process for the trial")
    assert told["threads"] == 1.0


def environment():
    return _ActorClassCache().get(Trainable)._default_options["runtime_env"].get("env_vars", {})


def test_no_key_of_the_driver_travels_in_the_environment_of_an_actor(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    before = environment()
    assert before["AWS_SECRET_ACCESS_KEY"] == "planted"  # what Tune does by itself
    with plain_processes():
        assert environment() == {}
    assert environment() == before
