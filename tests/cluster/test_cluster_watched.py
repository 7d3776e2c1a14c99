"""The thread in which a worker's lanes are advanced, and the watch over it; without Ray."""

import math
import threading
import time

import pytest

from autotune.cluster.trials import watched
from autotune.cluster.trials.watched import WatchedLanes
from autotune.errors import DeviceLostError, StorageError
from autotune.events import Failed, Reported
from autotune.testing.engines import PATIENCE_S, assignment
from autotune.work import Lanes


class Scripted(Lanes):
    """Each turn does what `act` says of every lane: a lane's answer, or nothing."""

    def __init__(self, act, known=True):
        self.act, self.known, self.inside, self.left = act, known, {}, []

    def enter(self, assignment):
        self.inside[assignment.id] = assignment

    def leave(self, assignment):
        self.left.append(assignment)
        self.inside.pop(assignment, None)

    def close(self):
        self.inside.clear()

    def advance(self, beat):
        time.sleep(0.002)
        beat()
        answers = []
        for one in list(self.inside.values()):
            self.turn = one.id if self.known else None
            if self.act(one):
                answers.append(Reported(one.id, one.trial, one.rung, one.until, 0.5))
                del self.inside[one.id]
        self.turn = None
        return answers


@pytest.fixture(autouse=True)
def exits(monkeypatch):
    """Ends of the process, which are noted instead."""
    found = []

    def leave(code):
        found.append(code)
        raise SystemExit(code)

    monkeypatch.setattr("os._exit", leave)
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *given, **named: None)
    monkeypatch.setattr(watched, "_LINGER_S", 0.2)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)  # of the timer that would have ended it
    yield found
    for thread in threading.enumerate():  # while what would end this process is still noted only
        if isinstance(thread, threading.Timer):
            thread.join()


@pytest.fixture
def start():
    """Start lanes; whoever waits for the event `over` goes on at the end, and all come to theirs."""
    over, every = threading.Event(), []

    def started(act, count=3, limit_s=None, known=True):
        scripted = Scripted(act, known)
        every.append(scripted)
        lanes = WatchedLanes(lambda: scripted, limit_s, threading.Event())
        for number in range(count):
            lanes.enter(assignment(number))
        return lanes, scripted

    started.over = over
    yield started
    over.set()
    for scripted in every:  # else their threads would go on, and arm the watch over this very process
        scripted.act = lambda one: True
    end = time.monotonic() + PATIENCE_S
    while any(thread.name == "autotune-trial" and busy(thread) for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


def busy(thread):
    """Whether it has assignments: an idle one waits for some, or has ended."""
    lanes = thread._target.__self__ if getattr(thread, "_target", None) else None
    return lanes is not None and bool(lanes._inside) and lanes._error is None


def collect(lanes, count):
    found, end = [], time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < end:
        found += lanes.answers(1.0)
    return found


def test_whoever_ends_is_answered_while_the_others_go_on(start):
    turns = []
    lanes, _ = start(lambda one: turns.append(one.id) or (one.id == 1 or turns.count(2) > 20))
    assert [answer.assignment for answer in lanes.answers()] == [1]
    lanes.enter(assignment(1))
    assert sorted(answer.assignment for answer in collect(lanes, 3)) == [0, 1, 2]
    assert lanes.answers() == []  # nobody is in: there is nothing to wait for


def test_a_wait_ends_in_time(start):
    lanes, _ = start(lambda one: False)
    assert lanes.answers(0.05) == []


def test_the_one_whose_turn_it_is_hangs(start, exits):
    lanes, _ = start(lambda one: one.id == 1 and start.over.wait() and False, limit_s=0.1)
    [hung] = lanes.answers()
    assert isinstance(hung, Failed)
    assert (hung.assignment, hung.kind, lanes.hung, exits) == (1, "hung", True, [])
    assert 0.1 / 3 <= hung.ledger.total.seconds < math.inf  # its part of the time that passed


def test_of_several_that_hang_together_nobody_is_named(start, exits):
    lanes, _ = start(lambda one: start.over.wait() and False, limit_s=0.1, known=False)
    with pytest.raises(SystemExit):
        lanes.answers()
    assert exits == [1]


def test_who_leaves_is_let_go_between_two_turns(start):
    lanes, scripted = start(lambda one: False)
    lanes.answers(0.05)
    lanes.leave(1)
    lanes.leave(7)
    end = time.monotonic() + PATIENCE_S
    while not scripted.left and time.monotonic() < end:
        lanes.answers(0.01)
    assert (scripted.left, sorted(scripted.inside)) == ([1], [0, 2])


def test_who_does_not_let_go_is_ended(start):
    lanes, _ = start(lambda one: one.id == 1 and start.over.wait() and False)
    lanes.answers(0.05)
    lanes.leave(1)
    [hung] = collect(lanes, 1)
    assert (hung.assignment, hung.kind) == (1, "hung")


@pytest.mark.parametrize(("error", "kind"), [(ValueError("no"), "error"), (MemoryError("full"), "memory")])
def test_what_is_raised_is_the_failure_of_the_one_whose_turn_it_is(start, error, kind):
    def act(one):
        if one.id == 1:
            raise error
        return 1 in scripted.left

    lanes, scripted = start(act)
    answers = {answer.assignment: answer for answer in collect(lanes, 3)}
    assert (answers[1].kind, answers[1].message) == (kind, f"{type(error).__name__}: {error}")
    assert isinstance(answers[0], Reported) and isinstance(answers[2], Reported)


def test_what_is_raised_by_several_together_ends_the_process(start):
    lanes, _ = start(lambda one: 1 / 0, known=False)
    with pytest.raises(ZeroDivisionError):
        collect(lanes, 1)


def test_what_no_trial_is_to_blame_for_is_an_answer_after_which_nothing_goes_on(start):
    def act(one):
        raise StorageError("the disk is full")

    lanes, _ = start(act)
    [answer] = collect(lanes, 1)
    assert isinstance(answer, StorageError)
    assert lanes.answers() == []


def test_where_no_worker_can_be_built_all_fail_and_it_is_tried_again():
    scripted, tried = Scripted(lambda one: True), []

    def build():
        tried.append(True)
        if len(tried) == 1:
            raise ImportError("no module")
        return scripted

    lanes = WatchedLanes(build, None, threading.Event())
    lanes.enter(assignment(0))
    [failed] = collect(lanes, 1)
    assert (failed.kind, failed.message) == ("error", "ImportError: no module")
    lanes.enter(assignment(1))
    assert [type(answer) for answer in collect(lanes, 1)] == [Reported]


def test_a_lost_gpu_is_nobodys_failure_but_the_end_of_the_process(start):
    def lose(one):
        raise DeviceLostError("its GPU cannot be used any more: an assertion")

    lanes, _ = start(lose, count=1)
    with pytest.raises(DeviceLostError, match="an assertion"):
        lanes.answers()
