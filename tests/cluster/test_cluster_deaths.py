"""Who is charged with a death: never the trial that a machine took along."""

import inspect
import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from autotune.cluster.engine import RayEngine
from autotune.cluster.trials.adapters import Dispatch, ReactionScheduler
from autotune.cluster.trials.deaths import Deaths
from autotune.cluster.trials.desk import _STILLBORN, Desk
from autotune.cluster.trials.exchange import Exchange
from autotune.cluster.trials.seat import Seat
from autotune.cluster.trials.sharing import Shares
from autotune.cluster.trials.trainable import OUTCOME, packed, unpacked
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


class Work:
    """What the desk asks of a workload."""

    def __init__(self):
        self.spent = Remains()
        self.pardoned = []

    def remains(self, assignment):
        return self.spent

    def pardon(self, assignment):
        self.pardoned.append(assignment.id)


class Lives:
    """The assignments of one seat whose actors die, as Tune tells it."""

    def __init__(self, folder, lanes=1):
        self.exchange = Exchange()
        self.work = Work()
        self.desk = Desk(self.exchange, self.work, CRASHES, lanes)
        self.scheduler = ReactionScheduler(self.desk)
        self.dispatch = Dispatch(self.desk, lambda actor: None)
        self.file, self.actor = folder / "error.txt", Call()
        self.trial = SimpleNamespace(
            trial_id="tune",
            status="RUNNING",
            PENDING="PENDING",
            error_file=self.file,
            temporary_state=SimpleNamespace(ray_actor=self.actor),
        )
        self.sit(assignment(0))

    def sit(self, *assignments):
        """More to do, and a fresh seat."""
        self.desk.seats["tune"] = Seat()
        for one in assignments:
            self.exchange.submit(one)

    def start(self):
        self.dispatch.on_trial_start(0, [], self.trial)

    def die(self, why, began=True):
        if began:
            self.start()
        self.file.write_text(f"Failure # 1 (occurred at noon)\n{why}\n")
        self.scheduler.on_trial_error(None, self.trial)
        return self.exchange.collect(0.0)

    def answer(self, *answers):
        return self.scheduler.on_trial_result(None, self.trial, {OUTCOME: packed(answers)})


@pytest.fixture(autouse=True)
def lost(monkeypatch):
    """The machines that are gone, by what stands for their actors."""
    gone = set()
    monkeypatch.setattr("autotune.cluster.trials.deaths.machine_lost", gone.__contains__)
    monkeypatch.setattr("autotune.cluster.trials.deaths.SETTLED_S", 0.0)
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
    lives.work.spent = Remains(account(5.0, 0.0), account(3.0, 0.5), "spot")
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
    lives.work.spent = Remains(account(5.0, 1.0), account(0.0, 0.5), "spot")
    for _ in range(3 * CRASHES):
        lives.start()
        told = Interrupted(0, 0, "its machine is about to go", node="spot")
        lives.answer(told)
        assert lives.exchange.collect(0.0) == [replace(told, ledger=account(0.0, 0.5))]
        assert lives.exchange.queued == 1
        assert lives.die(PROCESS, began=False) == []
    assert len(killed) == 3 * CRASHES  # Tune would put the next trial into the process otherwise


def test_a_trial_that_hangs_is_charged_what_it_computed_before(tmp_path, monkeypatch):
    monkeypatch.setattr("ray.kill", lambda actor: None)
    lives = Lives(tmp_path)
    lives.work.spent = Remains(account(5.0, 1.0), account(3.0, 2.0))
    lives.start()
    hung = Failed(0, 0, 0, "hung", "no progress", Ledger({Label.OVERHEAD: Charge(0.0, 10.0)}), "spot")
    lives.answer(hung)
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
    lives.exchange.take()
    for number in range(4 * _STILLBORN):
        lives.sit(assignment(number))
        assert [type(outcome) for outcome in lives.die(PROCESS)] == [Interrupted]
        lives.desk.drop("tune")
        assert lives.exchange.take().id == number
    lives.sit(assignment(0))
    for _ in range(_STILLBORN - 1):
        assert lives.die(PROCESS, began=False) == []
    with pytest.raises(StudyError, match="did not start"):
        lives.die(PROCESS, began=False)


@pytest.mark.parametrize("error", [StorageError("the disk is full"), CheckpointError("of a later driver")])
def test_errors_that_end_the_study_travel_and_leave_their_assignment_due(tmp_path, error):
    lives = Lives(tmp_path)
    lives.start()
    assert lives.answer(error) == "STOP"
    assert not lives.desk.seats
    with pytest.raises(type(error), match=str(error)):
        lives.exchange.collect(0.0)


def test_outcomes_travel_as_strict_json():
    outcome = Reported(0, 0, 0, 1.0, float("-inf"))
    assert unpacked(packed([outcome])) == [outcome]
    json.loads(packed([outcome]), parse_constant=pytest.fail)


class TestCompany:
    """A seat with several assignments."""

    @pytest.fixture
    def lives(self, tmp_path, monkeypatch):
        monkeypatch.setattr("ray.kill", lambda actor: None)
        monkeypatch.setattr("autotune.cluster.trials.adapters._REACTION_S", 0.0)  # nobody polls
        lives = Lives(tmp_path, lanes=8)
        lives.sit(*(assignment(number) for number in range(1, 4)))  # beside assignment 0
        return lives

    def inside(self, lives):
        return sorted(lives.desk.seats["tune"].inside)

    def report(self, lives, number):
        return lives.answer(Reported(number, number, 0, 1.0, 0.5))

    def test_after_a_death_each_goes_on_alone_and_only_the_culprit_is_given_up(self, lives):
        assert [outcome.assignment for outcome in lives.die(PROCESS)] == [0, 1, 2, 3]
        lives.exchange.submit(assignment(9))
        lives.start()
        assert self.inside(lives) == [0]
        assert self.report(lives, 0) == "CONTINUE"
        assert self.inside(lives) == [1]
        lives.exchange.collect(0.0)
        for _ in range(CRASHES - 1):
            assert [type(outcome) for outcome in lives.die(PROCESS)] == [Interrupted]
        assert [type(outcome) for outcome in lives.die(PROCESS)] == [Interrupted, Failed]
        for number in (2, 3):
            lives.start()
            assert self.inside(lives) == [number]
            self.report(lives, number)
        assert self.inside(lives) == [9]
        lives.exchange.submit(assignment(10))
        lives.desk.board("tune")
        assert self.inside(lives) == [9, 10]

    def test_a_machine_that_is_lost_leaves_them_together(self, lives, lost):
        lives.die(UNAVAILABLE)
        lost.add(lives.actor._actor_id)
        lives.start()
        assert self.inside(lives) == [0, 1, 2, 3]

    def test_what_was_too_much_for_the_memory_is_tried_with_fewer(self, lives):
        lives.die(MEMORY)
        assert lives.desk.lanes == 2

    def test_who_runs_out_of_memory_beside_others_is_tried_again_alone(self, lives):
        lives.start()
        lives.answer(Failed(2, 2, 0, "memory", "out of memory"))
        assert [type(told) for told in lives.exchange.collect(0.0)] == [Interrupted]
        assert lives.desk.lanes == 2
        for number in (0, 1, 3):
            self.report(lives, number)
        lives.exchange.collect(0.0)
        assert self.inside(lives) == [2]
        lives.answer(Failed(2, 2, 0, "memory", "out of memory"))
        assert [type(told) for told in lives.exchange.collect(0.0)] == [Failed]
        assert lives.desk.lanes == 4  # it was not for the others

    def test_beside_one_that_hangs_nobody_is_to_blame(self, lives):
        lives.start()
        lives.answer(Failed(2, 2, 0, "hung", "no progress"))
        assert [type(outcome) for outcome in lives.exchange.collect(0.0)] == [Failed]
        lives.die(PROCESS, began=False)
        assert lives.work.pardoned == [0, 1, 3]
        lives.start()
        assert self.inside(lives) == [0, 1, 3]

    def test_a_seat_whose_machine_goes_takes_nobody_and_ends_with_its_last(self, lives):
        lives.start()
        for number in (0, 1, 3):
            assert lives.answer(Interrupted(number, number, "its machine is about to go")) == "CONTINUE"
        assert self.inside(lives) == [2]
        assert lives.desk.wants_seat()
        lives.answer(Interrupted(2, 2, "its machine is about to go"))
        assert lives.exchange.queued == 4
        lives.die(PROCESS, began=False)  # it was ended
        lives.start()
        assert self.inside(lives) == [0, 1, 2, 3]

    def test_who_is_suspect_waits_for_no_machine_while_another_one_has_room_but_not_for_ever(self, lives):
        lives.die(PROCESS)
        lives.desk.seats["second"] = Seat()
        lives.exchange.submit(assignment(9))
        assert [one.id for one in lives.desk.begin("second", 1)] == [0]
        lives.desk.cancel("second", 0)
        lives.exchange.take(lambda one: one.id == 1)
        lives.desk.seats["second"].enter(assignment(8))
        assert [one.id for one in lives.desk.board("second")] == [9]  # the first seat begins again soon
        lives.desk.drop("tune")
        lives.exchange.submit(assignment(10))
        assert lives.desk.board("second") == []  # else the suspects would wait for ever

    def test_what_there_is_to_do_is_spread_over_the_machines(self, lives):
        lives.desk.places = lives.desk.limit = 3
        lives.start()
        assert self.inside(lives) == [0, 1]
        assert lives.desk.wants_seat()
        for name in ("second", "third"):
            lives.desk.seats[name] = Seat()
        assert not lives.desk.wants_seat()
        assert [one.id for one in lives.desk.begin("second", 1)] == [2, 3]
        assert lives.desk.superfluous() == ["third"]
        lives.exchange.submit(assignment(4))
        assert lives.desk.superfluous() == []


def leave(lives, reason):
    """A process of the trial tells why it cannot go on."""
    lives.sit(assignment(0))
    lives.start()
    lives.scheduler.on_trial_result(None, lives.trial, {OUTCOME: packed([Interrupted(0, 0, reason)])})
    return lives.exchange.collect(0.0)


def test_another_process_of_the_trial_counts_as_its_own_and_its_machine_as_nobodys(tmp_path, monkeypatch):
    monkeypatch.setattr("ray.kill", lambda actor: None)
    lives = Lives(tmp_path)
    lives.exchange.take()
    for _ in range(3 * CRASHES):
        assert [type(outcome) for outcome in leave(lives, f"another is gone: {NODE}")] == [Interrupted]
        assert lives.exchange.take() == assignment(0)
    for _ in range(CRASHES):
        assert [type(outcome) for outcome in leave(lives, PROCESS)] == [Interrupted]
        assert lives.exchange.take() == assignment(0)
    interrupted, failed = leave(lives, PROCESS)
    assert (type(interrupted), failed.kind) == (Interrupted, "crashed")
    assert lives.exchange.take() is None


def test_memory_is_the_trials_own_failure_only_where_it_had_a_whole_gpu():
    exchange, work = Exchange(), Work()
    desk = Desk(exchange, work, CRASHES, shares=Shares(0.5))
    desk.limit = desk.places = 3
    work.spent = Remains(account(5.0, 1.0), account(3.0, 0.5), "spot")
    full = Failed(0, 0, 0, "memory", "CUDA out of memory", account(8.0, 1.5), "spot")
    for number in range(3):
        exchange.submit(assignment(number))
    desk.seats |= {"first": Seat(), "second": Seat()}
    assert desk.begin("first", 1) == [assignment(0)]
    assert desk.begin("second", 2) == [assignment(1)]
    desk.receive("first", [full])
    (moved,) = exchange.collect(0.0)
    assert moved.reason == "out of memory in 0.5 of a GPU; it goes on with 1"
    assert moved.ledger == account(3.0, 0.5)  # the rest is in its checkpoint, from which it goes on
    desk.receive("second", [Reported(1, 1, 0, 1.0, 0.5)])
    exchange.collect(0.0)
    assert desk.board("second") == []  # a smaller one would take the room that the larger one waits for
    assert desk.wants_seat()
    desk.seats["larger"] = Seat(part=desk.next_part())
    assert not desk.wants_seat()  # until the larger one has found its place
    assert desk.begin("larger", 3) == [assignment(0)]
    assert desk.board("second") == [assignment(2)]
    desk.receive("larger", [full])
    (failed,) = exchange.collect(0.0)
    assert (failed.kind, failed.ledger[Label.TRAIN]) == ("memory", full.ledger[Label.TRAIN])


def test_what_was_answered_before_the_storage_failed_is_not_thrown_away(tmp_path):
    lives = Lives(tmp_path, lanes=2)
    lives.sit(assignment(1))
    lives.start()
    told = Reported(0, 0, 0, 1.0, 0.5)
    assert lives.answer(told, StorageError("the disk is full")) == "STOP"
    [kept] = lives.exchange.collect(0.0)
    assert (kept.trial, kept.score) == (0, 0.5)
    with pytest.raises(StorageError, match="the disk is full"):
        lives.exchange.collect(0.0)
    assert lives.exchange.queued == 1  # the other one, which a resumed study does again


def test_the_latest_deaths_do_not_count_until_it_is_known_whether_a_machine_went_with_them(lost, monkeypatch):
    """A node that is killed after three deaths of its own was the fourth, for a second or two."""
    monkeypatch.setattr("autotune.cluster.trials.deaths.SETTLED_S", 10.0)
    now = [0.0]
    deaths = Deaths(3, lambda: now[0])
    for at, actor in enumerate(("a", "b", "c")):
        now[0] = float(at)
        deaths.add(actor, {0: 0.0})
        assert not deaths.too_many(0)
    now[0] = 60.0
    deaths.add("of a node", {0: 0.0})
    assert not deaths.too_many(0)
    lost.add("of a node")
    now[0] = 61.0
    deaths.add("d", {0: 0.0})
    assert not deaths.too_many(0)
    now[0] = 75.0
    deaths.add("e", {0: 0.0})
    assert deaths.too_many(0) == 5
    deaths.forget(0)
    for actor in "abcd":
        deaths.add(actor, {0: 0.0}, sure=True)
    assert deaths.too_many(0) == 4


def test_who_gets_further_between_two_deaths_is_not_given_up():
    deaths = Deaths(3)
    for death in range(20):
        deaths.add(death, {0: float(death), 1: 0.0})
        assert not deaths.too_many(0)
    assert deaths.too_many(1) == 20
    for death in range(3):
        deaths.add(death, {0: 19.0})
    assert deaths.too_many(0) == 4
