import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import ray
from torch import nn

from autotune.cluster.engine import RayEngine
from autotune.cluster.live.connection import connect
from autotune.data import Splits
from autotune.data.digits import digits
from autotune.engines.function import FunctionWorkload
from autotune.errors import CheckpointError, ConfigurationError, DeviceLostError, StorageError
from autotune.events import Failed, Interrupted, Reported
from autotune.ledger import Label
from autotune.task import Classification
from autotune.testing.engines import EngineContract, assignment, behave, drain, submit
from autotune.training.attempts import Attempts
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment, Worker, Workload

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


class TestRayEngine(EngineContract):
    @pytest.fixture
    def engine(self):
        return RayEngine(workers=1)  # a process takes seconds to start


class TestRayEngineWithLanes(EngineContract):
    @pytest.fixture
    def engine(self):
        return RayEngine(workers=1, lanes=3)


class TestRayEngineWithTwoWorkers:
    """The laws for which a second worker makes a difference."""

    test_every_assignment_is_answered_exactly_once = (
        EngineContract.test_every_assignment_is_answered_exactly_once
    )
    test_promotion_later_needs_no_warm_worker = EngineContract.test_promotion_later_needs_no_warm_worker
    test_a_cancelled_assignment_holds_up_nothing = EngineContract.test_a_cancelled_assignment_holds_up_nothing
    test_close_twice_with_work_in_flight = EngineContract.test_close_twice_with_work_in_flight

    @pytest.fixture
    def started(self):
        engine = RayEngine(workers=2)
        engine.start(FunctionWorkload(behave))
        yield engine
        engine.close()


@pytest.fixture(scope="module", autouse=True)
def _workers_know_this_module():
    """Workers cannot import test modules, so what this one defines travels with the workload."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def run(request):
    """Start an engine on a function; closed at the end."""
    engines = []

    def start(function, **options):
        engine = RayEngine(**{"workers": 1, **options})
        engines.append(engine)
        engine.start(FunctionWorkload(function))
        return engine

    yield start
    for engine in engines:
        engine.close()


def outcomes_until_answer(engine):
    seen = []
    end = time.monotonic() + 180  # seconds; two processes may have to start on a busy machine
    while time.monotonic() < end:
        seen += engine.poll(1.0)
        if seen and not isinstance(seen[-1], Interrupted):
            return seen
    raise AssertionError(f"no answer: {seen}")


def test_a_dead_worker_is_only_a_delay(run, tmp_path):
    def dies_once(config, fidelity, seed):
        starts = Attempts(Path(tmp_path, "trial")).begin(0.0, epoch=1)
        if starts == 0:
            time.sleep(0.5)
            os._exit(1)
        return float(starts)

    engine = run(dies_once)
    engine.submit(assignment(0))
    *lost, answer = outcomes_until_answer(engine)
    assert isinstance(answer, Reported)
    assert answer.score == 1.0  # the new process belongs to the same node, so the start before is counted
    assert answer.ledger[Label.OVERHEAD].seconds >= 0.5  # what the dead process took
    assert [type(outcome) for outcome in lost] == [Interrupted]
    assert lost[0].assignment == 0
    assert lost[0].reason


def test_what_a_dead_worker_computed_is_told_as_lost_or_answered(tmp_path):
    """The answer is that of an undisturbed trial."""

    def model(config):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def loss(model, batch):
        with Path(tmp_path, "steps").open("ab", buffering=0) as steps:
            steps.write(b".")
            if config["mortal"] and steps.tell() == 30:
                os._exit(1)
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")

    def workload(name):
        task = Classification(digits(), model, loss=loss)
        rules = TrialRules(horizon=2.0, checkpoint_share=0.1)
        return TrainingWorkload(task, Splits.make(digits(), seed=0), rules, tmp_path / name)

    config = {"mortal": False}
    given = Assignment(0, 0, {"lr": 0.1, "batch_size": 32}, 7, 0, 0.0, 2.0)
    calm = workload("calm").worker(digits().bulk()).advance(given, lambda: None)
    Path(tmp_path, "steps").unlink()
    config["mortal"] = True
    engine = RayEngine(workers=1)
    engine.start(workload("mortal"))
    engine.submit(given)
    try:
        lost, answer = outcomes_until_answer(engine)
    finally:
        engine.close()
    assert isinstance(lost, Interrupted)
    assert isinstance(answer, Reported)
    step = 3 * 2 * 64 * 10 * 32  # FLOPs
    assert 0 < lost.ledger[Label.TRAIN].flops < 10 * step  # what came after the newest checkpoint
    assert lost.ledger[Label.TRAIN].seconds > 0
    assert (answer.score, answer.ledger.total.flops) == (calm.score, calm.ledger.total.flops)


@pytest.mark.parametrize("error", [StorageError, CheckpointError])
def test_what_no_trial_is_to_blame_for_ends_the_study_and_fails_none(error):
    engine = RayEngine(workers=1)
    engine.start(_Raising(error))
    engine.submit(assignment(0))
    try:
        with pytest.raises(error, match="the disk is full"):
            assert not drain(engine, 1)
    finally:
        engine.close()


def test_an_engine_serves_one_study_after_another():
    engine = RayEngine(workers=1)
    engine.start(_Raising(StorageError))
    engine.submit(assignment(0))
    with pytest.raises(StorageError):
        drain(engine, 1)
    engine.close()
    engine.start(FunctionWorkload(lambda config, fidelity, seed: 1.0))
    engine.submit(assignment(0))
    [answer] = drain(engine, 1)
    engine.close()
    assert isinstance(answer, Reported)


class _Alone(Workload, Worker):
    """A worker of its own, which needs no data."""

    def __init__(self, given):
        self._given = given

    @property
    def bulk(self):
        return {}

    def worker(self, bulk):
        return self


class _LosesItsGPU(_Alone):
    def advance(self, assignment, beat):
        mark = Path(self._given, "lost")
        if not mark.exists():
            mark.write_text(str(os.getpid()))
            raise DeviceLostError("its GPU cannot be used any more")
        here = float(os.getpid() == int(mark.read_text()))
        return Reported(assignment.id, assignment.trial, 0, assignment.until, 0.5, {"here": here})


def test_a_process_that_has_lost_its_gpu_is_not_used_again(ray_cluster, tmp_path):
    engine = RayEngine(workers=1)
    engine.start(_LosesItsGPU(str(tmp_path)))
    engine.submit(assignment(0))
    answers = drain(engine, 1)
    engine.close()
    assert [type(answer) for answer in answers] == [Reported]
    assert answers[0].metrics == {"here": 0.0}


def test_many_workers_dying_at_once_are_only_a_delay(run, tmp_path):
    def dies_once(config, fidelity, seed):
        mark = Path(tmp_path, f"died-{config['x']}")
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return 1.0

    engine = run(dies_once, workers=3)
    submit(engine, *(assignment(number) for number in range(3)))
    answers = drain(engine, 3)
    assert all(isinstance(answer, Reported) for answer in answers)


def test_a_worker_that_always_dies_is_given_up_and_harms_no_other(run, monkeypatch):
    monkeypatch.setattr("autotune.cluster.trials.deaths.SETTLED_S", 0.0)

    def dies(config, fidelity, seed):
        if config["x"] == 0:
            os._exit(1)
        return 1.0

    engine = run(dies, crashes=1)
    engine.submit(assignment(0))
    *lost, answer = outcomes_until_answer(engine)
    assert isinstance(answer, Failed)
    assert (answer.kind, answer.assignment, len(lost)) == ("crashed", 0, 2)
    engine.submit(assignment(1))
    assert isinstance(drain(engine, 1)[0], Reported)


def test_a_hanging_trial_is_ended(run):
    def hangs(config, fidelity, seed):
        if config["x"] == 0:
            threading.Event().wait()
        return 1.0

    engine = run(hangs, watchdog_s=0.5)
    engine.submit(assignment(0))
    [failed] = drain(engine, 1)
    assert isinstance(failed, Failed)
    assert failed.kind == "hung"
    assert failed.ledger.total.seconds >= 0.5
    engine.submit(assignment(1))
    assert isinstance(drain(engine, 1)[0], Reported)


def test_a_warm_worker_that_dies_while_idle_loses_nothing(run):
    def pid(config, fidelity, seed):
        return float(os.getpid())

    engine = run(pid)
    engine.submit(assignment(0))
    [answer] = drain(engine, 1)
    os.kill(int(answer.score), 9)
    engine.submit(assignment(1))
    *lost, again = outcomes_until_answer(engine)
    assert isinstance(again, Reported)
    assert (again.assignment, [outcome.assignment for outcome in lost]) == (1, [1])


def test_a_running_assignment_is_cancelled(run, tmp_path):
    def blocks(config, fidelity, seed):
        if config["x"] == 0:
            Path(tmp_path, "running").touch()
            threading.Event().wait()
        return 1.0

    engine = run(blocks)
    submit(engine, assignment(0), assignment(1))
    while not Path(tmp_path, "running").exists():
        assert engine.poll(0.05) == []
    engine.cancel(0)
    [answer] = drain(engine, 1)
    assert (answer.assignment, type(answer)) == (1, Reported)


def test_workers_share_the_arrays_and_may_not_write_them():
    engine = RayEngine(workers=1)
    values = np.arange(1_000_000)
    engine.start(_Reading(values))
    engine.submit(assignment(0))
    [answer] = drain(engine, 1)
    engine.close()
    assert answer.score == values.sum()
    assert answer.metrics["writable"] == 0.0


@pytest.mark.parametrize(
    ("options", "capacity"),
    [
        ({"workers": 3}, 3),
        ({"resources_per_trial": {"CPU": 2}}, 4 + 4),
        ({"resources_per_trial": {"CPU": 3}, "lookahead": 0}, 2),
    ],
)
def test_capacity_follows_the_cluster(ray_cluster, options, capacity):
    engine = RayEngine(**options)
    engine.start(FunctionWorkload(lambda config, fidelity, seed: 0.0))
    assert engine.capacity() == capacity
    engine.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "203.0.113.7"])
def test_another_cluster_than_this_process_has_joined_is_refused(ray_cluster, host):
    ours, _, port = ray_cluster.get_runtime_context().gcs_address.rpartition(":")
    engine = RayEngine(workers=1, address=f"{host}:{int(port) - 1}")
    with pytest.raises(ConfigurationError, match="is not the cluster that this process is connected to"):
        engine.start(FunctionWorkload(lambda config, fidelity, seed: 0.0))
    for elsewhere in (f"203.0.113.7:{port}", f"{'x' * 70}.example:{port}"):
        with pytest.raises(ConfigurationError, match="is not the cluster"):
            connect(elsewhere, {"CPU": 1.0}, 1)
    for same in (f"{ours}:{port}", f"localhost:{port}", "auto", "local"):
        assert not connect(same, {"CPU": 1.0}, 1)


@pytest.mark.parametrize(
    ("workload", "text"),
    [
        (FunctionWorkload(threading.Lock().acquire), "cannot be sent to workers"),
        (FunctionWorkload(lambda c, f, s, big=bytes(17 * 2**20): 0.0), "17 MiB"),
    ],
)
def test_a_workload_that_cannot_travel_is_refused(workload, text):
    engine = RayEngine(workers=1)
    with pytest.raises(ConfigurationError, match=text):
        engine.start(workload)
    engine.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"watchdog_s": 0.0}, "watchdog_s must be finite and above 0"),
        ({"resources_per_trial": {"CPU": 0}}, "resources_per_trial must ask"),
    ],
)
def test_bad_arguments_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=text):
        RayEngine(**options)


class _Raising(_Alone):
    def advance(self, assignment, beat):
        raise self._given("the disk is full")


class _Reading(Workload):
    def __init__(self, values):
        self._values = values

    @property
    def bulk(self):
        return {"values": self._values}

    def worker(self, bulk):
        return _Reader(bulk)

    def __getstate__(self):
        return {"_values": None}


class _Reader(Worker):
    def __init__(self, bulk):
        self._bulk = bulk

    def advance(self, assignment, beat):
        values = self._bulk["values"]
        return Reported(
            assignment.id,
            assignment.trial,
            assignment.rung,
            assignment.until,
            float(values.sum()),
            {"writable": float(values.flags.writeable)},
        )

    def close(self):
        pass
