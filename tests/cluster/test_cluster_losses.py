import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.cluster.trials.losses import Losses, unpaid
from autotune.cluster.trials.shared_time import SharedTime
from autotune.events import Reported
from autotune.ledger import Charge, Label, Ledger

SECONDS = st.floats(0.0, 1e6)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def trained(seconds, flops=5.0):
    return Reported(3, 1, 0, 1.0, 0.5, ledger=Ledger({Label.TRAIN: Charge(flops, seconds)}))


@given(lost=SECONDS, last=SECONDS, saved=SECONDS)
def test_every_second_is_charged_once(lost, last, saved):
    saved = min(saved, lost)
    assert saved + last + unpaid(lost, last, saved + last) == pytest.approx(lost + last)
    assert 0.0 <= unpaid(lost, last, saved) <= lost


def test_lost_starts_are_charged_with_the_answer():
    losses = Losses()
    for seconds in (30.0, 20.0):
        losses.lose(3, seconds)
    ledger = losses.settle(trained(15.0), 10.0).ledger  # 5 of them by a lost start, whose checkpoint lives on
    assert ledger == Ledger({Label.TRAIN: Charge(5.0, 15.0), Label.OVERHEAD: Charge(0.0, 45.0)})
    assert losses.settle(trained(15.0), 10.0) == trained(15.0)


def test_what_was_told_as_lost_is_not_charged_again():
    losses = Losses()
    losses.lose(3, 30.0, told=12.0)  # of the rest 5 lie in a checkpoint, and 13 were the start
    assert losses.settle(trained(15.0), 10.0).ledger[Label.OVERHEAD] == Charge(0.0, 13.0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0.0, 1e3)), max_size=30))
def test_the_time_of_a_worker_is_shared_out_and_nothing_else(events):
    """Whoever enters and leaves whenever: all seconds in which anybody was in are somebody's."""
    clock = Clock()
    time, inside, busy, given = SharedTime(clock), set(), 0.0, 0.0
    for one, enters, seconds in events:
        if enters and one not in inside:
            time.enter(one)
            inside.add(one)
        elif not enters:
            given += time.leave(one)
            inside.discard(one)
        busy += seconds if inside else 0.0
        clock.now += seconds
    given += sum(time.leave(one) for one in inside)
    assert given == pytest.approx(busy)


def test_those_who_are_in_together_have_equal_shares():
    clock = Clock()
    time = SharedTime(clock)
    time.enter(0)
    clock.now += 4.0
    time.enter(1)
    clock.now += 6.0
    assert (time.leave(0), time.leave(0)) == (7.0, 0.0)
    clock.now += 1.0
    assert time.leave(1) == 4.0
