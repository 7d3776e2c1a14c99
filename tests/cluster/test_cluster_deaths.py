"""Who is charged with a death: never the trial that a machine took along."""

import inspect
import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from autotune.cluster.adapters import _STILLBORN, Desk, Dispatch, ReactionScheduler
from autotune.cluster.engine import RayEngine
from autotune.cluster.exchange import Exchange
from autotune.cluster.trainable import OUTCOME, packed, unpacked
from autotune.errors import CheckpointError, StorageError, StudyError
from autotune.events import Failed, Interrupted, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.testing.engines import assignment
from autotune.training.attempts import MAX_STARTS, Attempts
from autotune.work import Remains

CRASHES = inspect.signature(RayEngine).parameters["crashes"].default
PROCESS = "Worker unexpectedly exits with a connection error code 2."
UNAVAILABLE = "The actor 4f is unavailable: The actor is temporarily unavailable: RpcError: Socket closed."
MEMORY = "1 worker(s) were killed due to the node running low on memory."
NODE = "The actor died because its node has died. Node Id: 4f"


class Call:
    """An actor's method, or an actor; nothing happens."""

    _actor_id = 0

    def __getattr__(self, name):
        return self

    def __call__(self, *arguments):
        return self


class Lives:
    """One assignment whose actors die, as Tune tells it."""

    def __init__(self, folder):
        self.exchange = Exchange()
        self.remains = Remains()
        self.desk = Desk(
            self.exchange, lambda actor: None, CRASHES, None, lambda: None, lambda given: self.remains
        )
        self.scheduler, self.dispatch = ReactionScheduler(self.desk), Dispatch(self.desk)
        self.file, self.actor = folder / "error.txt", Call()
        self.trial = SimpleNamespace(
            trial_id="tune",
            status="RUNNING",
            PENDING="PENDING",
            error_file=self.file,
            temporary_state=SimpleNamespace(ray_actor=self.actor),
        )
        self.desk.current["tune"] = assignment(0)

    def start(self):
        self.dispatch.on_trial_start(0, [], self.trial)

    def die(self, why, began=True):
        if began:
            self.start()
        self.file.write_text(f"Failure # 1 (occurred at noon)\n{why}\n")
        self.scheduler.on_trial_error(None, self.trial)
        return self.exchange.collect(0.0)


@pytest.fixture(autouse=True)
def lost(monkeypatch):
    """The machines that are gone, by what stands for their actors."""
    gone = set()
    monkeypatch.setattr("autotune.cluster.adapters.machine_lost", gone.__contains__)
    return gone


@pytest.mark.parametrize(("why", "kind"), [(PROCESS, "crashed"), (MEMORY, "memory")])
def test_the_engine_gives_up_before_the_worker_does_and_knows_why(tmp_path, why, kind):
    lives = Lives(tmp_path)
    for _ in range(CRASHES):
        assert [type(outcome) for outcome in lives.die(why)] == [Interrupted]
    interrupted, failed = lives.die(why)
    assert isinstance(interrupted, Interrupted)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.message) == (kind, f"its worker process died {CRASHES + 1} times: {why}")
    assert failed.ledger.total.seconds > 0
    assert CRASHES < MAX_STARTS


def test_a_machine_that_takes_its_processes_along_is_charged_by_nobody_whatever_ray_says_first(
    tmp_path, lost
):
    lives = Lives(tmp_path)
    for number in range(5 * CRASHES):
        lives.actor._actor_id = number
        assert [type(outcome) for outcome in lives.die(UNAVAILABLE)] == [Interrupted]
        lost.add(number)
    for number in range(-CRASHES, 0):
        lives.actor._actor_id = number
        assert [type(outcome) for outcome in lives.die(PROCESS)] == [Interrupted]
    assert [type(outcome) for outcome in lives.die(PROCESS)] == [Interrupted, Failed]


def account(flops, seconds):
    return Ledger({Label.TRAIN: Charge(flops, seconds)})


def test_a_death_is_told_with_what_it_lost_and_giving_up_with_what_was_saved(tmp_path):
    lives = Lives(tmp_path)
    lives.remains = Remains(account(5.0, 0.0), account(3.0, 0.5), "spot")
    for _ in range(CRASHES):
        (interrupted,) = lives.die(PROCESS)
        assert (interrupted.ledger, interrupted.node) == (account(3.0, 0.5), "spot")
    interrupted, failed = lives.die(PROCESS)
    assert interrupted.ledger == account(3.0, 0.5)
    assert (failed.ledger[Label.TRAIN], failed.node) == (Charge(5.0, 0.0), "spot")


def test_a_trial_that_leaves_its_machine_is_due_again_at_once_and_charged_by_nobody(tmp_path, monkeypatch):
    killed = []
    monkeypatch.setattr("ray.kill", killed.append)
    lives = Lives(tmp_path)
    lives.remains = Remains(account(5.0, 1.0), account(0.0, 0.5), "spot")
    for _ in range(3 * CRASHES):
        lives.desk.current["tune"] = assignment(0)
        lives.start()
        told = Interrupted(0, 0, "its machine is about to go", node="spot")
        lives.scheduler.on_trial_result(None, lives.trial, {OUTCOME: packed(told)})
        assert lives.exchange.collect(0.0) == [replace(told, ledger=account(0.0, 0.5))]
        assert lives.exchange.next(0.0) == assignment(0)
        assert not lives.desk.current
    assert len(killed) == 3 * CRASHES  # Tune would put the next trial into the process otherwise


def test_a_trial_that_hangs_is_charged_what_it_computed_before(tmp_path, monkeypatch):
    monkeypatch.setattr("ray.kill", lambda actor: None)
    lives = Lives(tmp_path)
    lives.remains = Remains(account(5.0, 1.0), account(3.0, 2.0))
    lives.start()
    hung = Failed(0, 0, 0, "hung", "no progress", Ledger({Label.OVERHEAD: Charge(0.0, 10.0)}), "spot")
    lives.scheduler.on_trial_result(None, lives.trial, {OUTCOME: packed(hung)})
    (answer,) = lives.exchange.collect(0.0)
    assert answer == replace(hung, ledger=account(8.0, 3.0) + Ledger({Label.OVERHEAD: Charge(0.0, 7.0)}))


def test_a_node_that_dies_is_charged_by_nobody(tmp_path, monkeypatch):
    lives = Lives(tmp_path)
    attempts = Attempts(tmp_path / "trial")
    for node in range(3 * MAX_STARTS):
        monkeypatch.setattr(os, "getppid", lambda node=node: node)
        assert attempts.begin(0.5, 1) == 0
        assert [type(outcome) for outcome in lives.die(NODE)] == [Interrupted]
    assert attempts.begin(0.5, 1) == 1  # on a node that lives on, it was the process


def test_many_deaths_end_no_study_but_actors_that_never_start_do(tmp_path):
    lives = Lives(tmp_path)
    for number in range(4 * _STILLBORN):
        lives.desk.current["tune"] = assignment(number)
        assert [type(outcome) for outcome in lives.die(PROCESS)] == [Interrupted]
    for _ in range(_STILLBORN):
        assert [type(outcome) for outcome in lives.die(PROCESS, began=False)] == [Interrupted]
    with pytest.raises(StudyError, match="did not start"):
        lives.exchange.collect(0.0)


@pytest.mark.parametrize("error", [StorageError("the disk is full"), CheckpointError("of a later driver")])
def test_errors_that_end_the_study_travel_and_leave_their_assignment_due(tmp_path, error):
    lives = Lives(tmp_path)
    lives.start()
    assert lives.scheduler.on_trial_result(None, lives.trial, {OUTCOME: packed(error)}) == "STOP"
    assert not lives.desk.current
    with pytest.raises(type(error), match=str(error)):
        lives.exchange.collect(0.0)


def test_outcomes_travel_as_strict_json():
    outcome = Reported(0, 0, 0, 1.0, float("-inf"))
    assert unpacked(packed(outcome)) == outcome
    json.loads(packed(outcome), parse_constant=pytest.fail)
