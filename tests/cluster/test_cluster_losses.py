import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.cluster.losses import Losses, unpaid
from autotune.events import Failed, Reported
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
    clock = Clock()
    losses = Losses(clock)
    for seconds in (30.0, 20.0):
        losses.begin("tune")
        clock.now += seconds
        assert losses.lose("tune", 3)
    assert not losses.lose("tune", 3)  # an actor that did not start took nothing
    losses.begin("tune")
    clock.now += 10.0
    ledger = losses.settle(
        "tune", trained(15.0)
    ).ledger  # 5 of them by a lost start, whose checkpoint lives on
    assert ledger == Ledger({Label.TRAIN: Charge(5.0, 15.0), Label.OVERHEAD: Charge(0.0, 45.0)})
    assert losses.settle("tune", trained(15.0)) == trained(15.0)


def test_what_was_told_as_lost_is_not_charged_again():
    clock = Clock()
    losses = Losses(clock)
    losses.begin("tune")
    clock.now += 30.0
    assert losses.lose("tune", 3, told=12.0)  # of the rest 5 lie in a checkpoint, and 13 were the start
    losses.begin("tune")
    clock.now += 10.0
    assert losses.settle("tune", trained(15.0)).ledger[Label.OVERHEAD] == Charge(0.0, 13.0)


def test_what_is_extended_or_forgotten_is_no_loss():
    clock = Clock()
    losses = Losses(clock)
    losses.begin("tune")
    clock.now += 30.0
    losses.begin("tune")  # the assignment that follows
    clock.now += 2.0
    assert losses.lose("tune", 3)
    assert losses.settle("tune", Failed(3, 1, 0, "crashed", "died")).ledger.total.seconds == 2.0
    losses.begin("tune")
    losses.forget("tune")
    assert not losses.lose("tune", 4)
