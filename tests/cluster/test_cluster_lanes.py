"""Trials side by side in Ray's workers: results as alone, and one that dies, hangs or is cancelled."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest
import ray
from torch import nn

from autotune.cluster.engine import RayEngine
from autotune.data import Splits
from autotune.data.digits import digits
from autotune.events import Failed, Interrupted, LanesChosen, Reported
from autotune.task import Classification
from autotune.testing.engines import assignment, drain, submit
from autotune.testing.workloads import declared
from autotune.training.rules import TrialRules
from autotune.training.vectorised.race import Race
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment, Lanes, Worker, Workload

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

CONFIGS = (
    {"lr": 0.1, "batch_size": 32},
    {"optimizer": "adamw", "lr": 0.01, "batch_size": 32, "schedule": "cosine"},
    {"lr": 0.05, "batch_size": 32, "policy": "fresh_random", "policy.fraction": 0.5},
)


@pytest.fixture(scope="module", autouse=True)
def _workers_know_this_module():
    """Workers cannot import test modules, so what this one defines travels with the workload."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def mlp(config):
    Race.together = True  # in the worker's process, whatever is faster
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))


class Mortal(Classification):
    """Dies once, at the step that is told by the number in a file, with all that is in its process."""

    folder = ""

    def losses(self, model, batch, smoothing=0.0):
        if self.folder and (left := Path(self.folder, "steps")).exists():
            number = int(left.read_text()) - 1
            left.write_text(str(number)) if number else left.unlink()
            if not number:
                os._exit(1)
        return super().losses(model, batch, smoothing)


def workload(path, folder=""):
    task = Mortal(digits(), mlp)
    object.__setattr__(task, "folder", str(folder))
    rules = TrialRules(horizon=2.0, checkpoint_share=0.2)
    return TrainingWorkload(task, Splits.make(digits(), seed=0), rules, path)


def test_results_are_those_of_separate_training_also_after_a_death(tmp_path, monkeypatch):
    monkeypatch.setattr(Race, "together", True)  # as `mlp` does too: here it is undone

    def given(first):
        return [Assignment(first + i, first + i, one, 7 + i, 0, 0.0, 2.0) for i, one in enumerate(CONFIGS)]

    alone = workload(tmp_path / "alone")
    worker = alone.worker(alone.bulk)
    expected = [worker.advance(one, lambda: None) for one in given(0)]
    engine = RayEngine(workers=1, lanes=3)
    engine.start(workload(tmp_path / "lanes", tmp_path))
    try:
        submit(engine, *given(0))
        answers, lost = until_answered(engine, 3)
        assert not lost
        (tmp_path / "steps").write_text("40")
        submit(engine, *given(3))
        later, lost = until_answered(engine, 3)
    finally:
        engine.close()
    assert sorted(lost) == [3, 4, 5]
    for number, answer in (answers | later).items():
        got, wanted = declared(answer), declared(expected[number % 3])
        assert got.pop("score") == pytest.approx(wanted.pop("score"), abs=2e-3)
        for name in ("metrics", "assignment", "trial"):
            got.pop(name), wanted.pop(name)
        assert got == wanted


def until_answered(engine, count):
    """Answers by assignment, and the assignments that were interrupted before."""
    answers, lost, end = {}, [], time.monotonic() + 180
    while len(answers) < count and time.monotonic() < end:
        for outcome in engine.poll(1.0):
            if isinstance(outcome, Interrupted):
                lost.append(outcome.assignment)
            else:
                answers[outcome.assignment] = outcome
    assert len(answers) == count
    return answers, lost


class Steps(Workload, Worker):
    """Lanes that do, a step each by turns, what the configuration says."""

    def __init__(self, folder):
        self.folder = str(folder)

    @property
    def bulk(self):
        return {}

    def worker(self, bulk):
        return self

    def advance(self, assignment, beat):
        raise NotImplementedError

    def lanes(self):
        return Turns(self.folder)

    def lanes_worth(self, most, part):
        return most // 2, f"{most} of use, {part} of the memory"


class Turns(Lanes):
    def __init__(self, folder):
        self.folder, self.inside = folder, {}

    def enter(self, assignment):
        self.inside[assignment.id] = assignment
        Path(self.folder, f"entered-{assignment.id}").touch()

    def leave(self, assignment):
        self.inside.pop(assignment, None)
        Path(self.folder, f"left-{assignment}").touch()

    def close(self):
        self.inside.clear()

    def advance(self, beat):
        time.sleep(0.01)
        answers = []
        for one in list(self.inside.values()):
            self.turn = one.id
            beat()
            how = one.config["behave"]
            if how == "hang" and len(self.inside) > 1:
                threading.Event().wait()
            if how == "die":
                os._exit(1)
            if how == "score" or (how == "wait" and Path(self.folder, "go").exists()):
                answers.append(Reported(one.id, one.trial, one.rung, one.until, float(os.getpid())))
        for answer in answers:
            del self.inside[answer.assignment]
        self.turn = None
        return answers


@pytest.fixture
def run(tmp_path):
    engines = []

    def start(**options):
        engine = RayEngine(workers=1, **options)
        engines.append(engine)
        engine.start(Steps(tmp_path))
        return engine

    yield start
    for engine in engines:
        engine.close()


def test_who_ends_is_answered_and_replaced_while_the_others_go_on(run, tmp_path):
    engine = run(lanes=2)
    assert engine.capacity() == 2
    submit(engine, assignment(0, behave="wait"), *(assignment(number) for number in range(1, 4)))
    answers = drain(engine, 3)
    assert [answer.assignment for answer in answers] == [1, 2, 3]
    submit(engine, assignment(4))  # a lane is free by now, and the process amid a step
    answers += drain(engine, 1)
    (tmp_path / "go").touch()
    answers += drain(engine, 1)
    assert answers[-1].assignment == 0
    assert len({answer.score for answer in answers}) == 1  # the process


def test_whose_turn_it_is_when_nothing_moves_is_the_one_that_hangs(run, tmp_path):
    engine = run(lanes=3, watchdog_s=0.5)
    submit(engine, assignment(0, behave="wait"), assignment(1, behave="hang"), assignment(2, behave="wait"))
    [hung] = drain(engine, 1)
    assert isinstance(hung, Failed)
    assert (hung.assignment, hung.kind) == (1, "hung")
    (tmp_path / "go").touch()
    assert {answer.assignment: type(answer) for answer in drain(engine, 2)} == {0: Reported, 2: Reported}


def test_who_takes_the_process_down_is_found_and_nobody_else_is_charged(run, tmp_path):
    (tmp_path / "go").touch()
    engine = run(lanes=4, crashes=1)
    submit(engine, assignment(0, behave="die"), *(assignment(n, behave="wait") for n in range(1, 4)))
    answers = {answer.assignment: answer for answer in drain(engine, 4)}
    assert [type(answers[number]) for number in range(4)] == [Failed, Reported, Reported, Reported]
    assert answers[0].kind == "crashed"


def test_a_cancelled_lane_is_left_and_the_others_go_on(run, tmp_path):
    engine = run(lanes=2)
    submit(engine, assignment(0, behave="wait"), assignment(1, behave="never"), assignment(2))
    end = time.monotonic() + 60
    while not (tmp_path / "entered-1").exists() and time.monotonic() < end:
        assert engine.poll(0.05) == []
    engine.cancel(1)
    assert [answer.assignment for answer in drain(engine, 1)] == [2]
    assert (tmp_path / "left-1").exists()
    (tmp_path / "go").touch()
    assert [answer.assignment for answer in drain(engine, 1)] == [0]


def test_lanes_are_measured_in_a_worker_and_kept_to(run):
    engine = run(lanes="auto")
    assert engine.capacity() == 1
    assert engine.choose_lanes(8) == LanesChosen(4, "8 of use, 0.125 of the memory")
    assert engine.capacity() == 4
    submit(engine, *(assignment(number) for number in range(4)))
    assert len(drain(engine, 4)) == 4
    assert run(lanes="auto").choose_lanes(8, before=2) is None
