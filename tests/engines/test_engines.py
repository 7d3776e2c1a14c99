"""The engines without Ray: their contract, the watchdog, virtual time and crashes."""

import contextlib
import math
import signal
import sys
import threading
import time

import pytest

from autotune.engines.function import FunctionWorkload
from autotune.engines.inprocess import InProcess
from autotune.engines.simulated import Simulated
from autotune.engines.watchdog import watched
from autotune.errors import ConfigurationError, HungError
from autotune.events import Failed, Interrupted, Reported
from autotune.testing.engines import EngineContract
from autotune.work import Assignment, Worker, Workload


class TestInProcess(EngineContract):
    @pytest.fixture
    def engine(self):
        engine = InProcess()
        yield engine
        engine.close()


class TestLanes(EngineContract):
    @pytest.fixture
    def engine(self):
        engine = InProcess(lanes=3)
        yield engine
        engine.close()


class TestSimulated(EngineContract):
    @pytest.fixture
    def engine(self):
        engine = Simulated(workers=3)
        yield engine
        engine.close()


def assignment(n, until=1.0):
    return Assignment(n, n, {"x": 0.5}, 0, 0, 0.0, until)


def constant(config, fidelity, seed):
    return 1.0


class _Hangs(Workload):
    """A trial that hangs, in a worker that knows of the watchdog or does not."""

    def __init__(self, listens):
        self._listens = listens

    @property
    def bulk(self):
        return {}

    def worker(self, bulk):
        return _HangingWorker(self._listens)


class _HangingWorker(Worker):
    def __init__(self, listens):
        self._listens = listens

    def advance(self, assignment, beat):
        beat()
        try:
            while True:
                time.sleep(0.01)
        except HungError as error:
            if not self._listens:
                raise
            return Failed(assignment.id, assignment.trial, assignment.rung, "hung", str(error))


@pytest.mark.parametrize("listens", [True, False])
def test_a_hanging_trial_is_ended_by_the_watchdog(listens):
    engine = InProcess(watchdog_s=0.2)
    engine.start(_Hangs(listens))
    engine.submit(assignment(0))
    (outcome,) = engine.poll(1.0)
    assert outcome.kind == "hung" and "watchdog_s=0.2" in outcome.message
    engine.close()


@pytest.mark.parametrize("watchdog_s", [0.0, -1.0, math.inf])
def test_a_watchdog_needs_a_time(watchdog_s):
    with pytest.raises(ConfigurationError, match="watchdog_s must be finite and above 0"):
        InProcess(watchdog_s=watchdog_s)


def test_a_function_that_hangs_is_told_as_hung():
    engine = InProcess(watchdog_s=0.1)
    engine.start(FunctionWorkload(lambda config, fidelity, seed: time.sleep(30)))
    engine.submit(assignment(0))
    (outcome,) = engine.poll(1.0)
    assert outcome.kind == "hung" and "watchdog_s=0.1" in outcome.message
    engine.close()


def test_a_watchdog_rings_until_it_is_heard():
    def deaf(config, fidelity, seed):
        with contextlib.suppress(HungError):
            time.sleep(30)
        time.sleep(30)

    engine = InProcess(watchdog_s=0.1)
    engine.start(FunctionWorkload(deaf))
    engine.submit(assignment(0))
    (outcome,) = engine.poll(1.0)
    assert outcome.kind == "hung"
    engine.close()


def test_a_debugger_holds_the_watchdog_off():
    before = sys.gettrace()
    sys.settrace(lambda frame, event, argument: None)
    try:
        with watched(0.01):
            time.sleep(0.1)
    finally:
        sys.settrace(before)


def test_an_alarm_of_the_caller_goes_on_after_the_watchdog():
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    before = signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with watched(60.0) as beat:
            beat()
            time.sleep(0.2)
            assert not rung
        time.sleep(0.1)
        assert rung == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


def test_nothing_is_watched_where_python_cannot_interrupt():
    slept = []

    def run():
        with watched(0.01) as beat:
            beat()
            time.sleep(0.05)
            slept.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert slept


def test_virtual_time_is_that_of_the_longest_worker_not_of_the_sum():
    engine = Simulated(workers=4)
    engine.start(FunctionWorkload(constant))
    for n in range(8):
        engine.submit(assignment(n, until=2.0))
    answered = [outcome for _ in range(8) for outcome in engine.poll(0.0)]
    assert sorted(outcome.assignment for outcome in answered) == list(range(8))
    assert engine.now == pytest.approx(4.0)


def test_outcomes_come_in_the_order_of_virtual_time():
    engine = Simulated(workers=3)
    engine.start(FunctionWorkload(constant))
    for n, until in enumerate((3.0, 1.0, 2.0)):
        engine.submit(assignment(n, until))
    assert [outcome.assignment for _ in range(3) for outcome in engine.poll(0.0)] == [1, 2, 0]


def test_crashes_are_told_and_the_work_is_done_nevertheless():
    engine = Simulated(workers=2, crash_rate=0.5, seed=1)
    engine.start(FunctionWorkload(constant))
    for n in range(40):
        engine.submit(assignment(n))
    outcomes = []
    while got := engine.poll(0.0):
        outcomes += got
    assert sorted(o.assignment for o in outcomes if isinstance(o, Reported)) == list(range(40))
    crashes = [o.assignment for o in outcomes if isinstance(o, Interrupted)]
    assert 10 < len(crashes) < 30
    for crashed in crashes:  # the crash is told before the answer
        kinds = [type(o) for o in outcomes if o.assignment == crashed]
        assert kinds == [Interrupted, Reported]


def test_a_number_of_lanes_is_at_least_one():
    for lanes in (0, "4"):
        with pytest.raises(ConfigurationError, match=f"lanes must be .* at least 1, .* got {lanes!r}"):
            InProcess(lanes=lanes)


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"crash_rate": 1.0}, {"crash_rate": -0.1}])
def test_settings_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigurationError, match="must be"):
        Simulated(**arguments)
