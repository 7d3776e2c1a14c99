import threading
import time

import pytest

from autotune.cluster.trials.exchange import Exchange
from autotune.errors import StudyError
from autotune.events import Reported
from autotune.testing.engines import assignment


def reported(number, trial=0):
    return Reported(number, trial, 0, 1.0, 0.5)


def of_trial(exchange, trial):
    return exchange.take(lambda assignment: assignment.trial == trial)


def in_thread(function):
    """Run a function in a thread; the result of the returned function waits for its end."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()

    def result():
        thread.join(10)
        return results[0]

    return result


def test_a_reaction_is_what_was_submitted_before_polling_again():
    exchange = Exchange()
    number = exchange.answer(reported(0, trial=4))
    reaction = in_thread(lambda: (exchange.wait_for_reaction(number, 10.0), of_trial(exchange, 4)))
    assert [outcome.trial for outcome in exchange.collect(1.0)] == [4]
    exchange.submit(assignment(1, trial=9))
    exchange.submit(assignment(2, trial=4))
    exchange.collect(0.0)
    assert reaction()[1].id == 2
    assert exchange.take().id == 1


def test_entering_collect_first_is_no_reaction():
    exchange = Exchange()
    exchange.collect(0.0)
    number = exchange.answer(reported(0))
    began = time.monotonic()
    exchange.wait_for_reaction(number, 0.05)
    assert time.monotonic() - began >= 0.05


def test_a_study_that_stays_away_holds_nobody_up():
    exchange = Exchange()
    number = exchange.answer(reported(0))
    exchange.collect(1.0)
    exchange.wait_for_reaction(number, 0.01)
    assert exchange.take() is None


@pytest.mark.parametrize(
    "wait",
    [
        lambda exchange: exchange.wait_for_work(60.0),
        lambda exchange: exchange.wait_for_reaction(1, 60.0),
        lambda exchange: exchange.collect(60.0),
    ],
)
def test_closing_wakes_everybody(wait):
    exchange = Exchange()
    result = in_thread(lambda: wait(exchange))
    exchange.close()
    assert not result()


def test_the_order_is_kept_and_put_back_comes_first():
    exchange = Exchange()
    for number in range(3):
        exchange.submit(assignment(number))
    first = exchange.take()
    exchange.put_back(first)
    assert [exchange.take().id for _ in range(3)] == [0, 1, 2]
    assert exchange.take() is None


def test_cancelling_forgets_what_waits_and_marks_what_may_run():
    exchange = Exchange()
    exchange.submit(assignment(0))
    exchange.submit(assignment(1))
    running = exchange.take()
    exchange.cancel(1)
    exchange.cancel(running.id)
    assert exchange.take() is None
    assert exchange.take_cancelled() == {0}
    assert exchange.take_cancelled() == set()


def test_a_failure_of_the_other_side_surfaces_after_its_answers():
    exchange = Exchange()
    exchange.answer(reported(0))
    exchange.fail(StudyError("gone"))
    assert len(exchange.collect(1.0)) == 1
    with pytest.raises(StudyError, match="gone"):
        exchange.collect(1.0)
