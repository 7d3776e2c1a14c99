import threading
import time

import pytest

from autotune.cluster.exchange import Exchange
from autotune.errors import StudyError
from autotune.events import Reported
from autotune.testing.engines import assignment


def reported(number, trial=0):
    return Reported(number, trial, 0, 1.0, 0.5)


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
    reaction = in_thread(lambda: exchange.reaction(number, 4, 10.0))
    assert [outcome.trial for outcome in exchange.collect(1.0)] == [4]
    exchange.submit(assignment(1, trial=9))
    exchange.submit(assignment(2, trial=4))
    exchange.collect(0.0)
    assert reaction().id == 2
    assert exchange.next(0.0).id == 1


def test_entering_collect_first_is_no_reaction():
    exchange = Exchange()
    exchange.collect(0.0)
    number = exchange.answer(reported(0))
    exchange.submit(assignment(1, trial=5))
    began = time.monotonic()
    assert exchange.reaction(number, 0, 0.05) is None
    assert time.monotonic() - began >= 0.05


def test_a_study_that_stays_away_holds_nobody_up():
    exchange = Exchange()
    number = exchange.answer(reported(0))
    exchange.collect(1.0)
    assert exchange.reaction(number, 0, 0.01) is None


@pytest.mark.parametrize(
    "wait",
    [
        lambda exchange: exchange.next(60.0),
        lambda exchange: exchange.reaction(1, 0, 60.0),
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
    first = exchange.next(0.0)
    exchange.put_back(first)
    assert [exchange.next(0.0).id for _ in range(3)] == [0, 1, 2]
    assert exchange.next(0.0) is None


def test_cancelling_forgets_what_waits_and_marks_what_may_run():
    exchange = Exchange()
    exchange.submit(assignment(0))
    exchange.submit(assignment(1))
    running = exchange.next(0.0)
    exchange.cancel(1)
    exchange.cancel(running.id)
    assert exchange.next(0.0) is None
    assert exchange.take_cancelled() == {0}
    assert exchange.take_cancelled() == set()


def test_a_failure_of_the_other_side_surfaces_after_its_answers():
    exchange = Exchange()
    exchange.answer(reported(0))
    exchange.fail(StudyError("gone"))
    assert len(exchange.collect(1.0)) == 1
    with pytest.raises(StudyError, match="gone"):
        exchange.collect(1.0)
