import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.selectors.loss.self_paced import SelfPaced, pace
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestSelfPaced(SelectorContract):
    @pytest.fixture
    def selector(self) -> SelfPaced:
        return SelfPaced()


class TestSelfPacedBalanced(SelectorContract):
    @pytest.fixture
    def selector(self) -> SelfPaced:
        return SelfPaced(start=0.5, class_balanced=True)


def signals_of(losses, progress=0.0, targets=None):
    n = len(losses)
    classes = torch.zeros(n).long() if targets is None else torch.tensor(targets)
    return Signals(torch.arange(n), {Signal.LOSS: torch.tensor(losses), Signal.TARGETS: classes}, progress)


LOSSES = [float(i) for i in range(100)]


@pytest.mark.parametrize(("progress", "admitted"), [(0.0, 20), (0.25, 60), (0.5, 100), (0.9, 100)])
def test_the_easiest_are_admitted_and_all_of_them_are_drawn_alike(progress, admitted):
    counts, draws = torch.zeros(100), 1000
    for seed in range(draws):
        counts[draw(SelfPaced(), signals_of(LOSSES, progress), 10, seed).ids] += 1
    assert counts[admitted:].sum() == 0
    share = 10 / admitted
    assert bool(((counts[:admitted] / draws - share).abs() <= 5 * (share * (1 - share) / draws) ** 0.5).all())


def test_never_fewer_are_admitted_than_the_budget():
    assert sorted(draw(SelfPaced(), signals_of(LOSSES), 50).ids.tolist()) == list(range(50))


def test_balanced_admits_the_same_share_of_each_class():
    signals = signals_of(LOSSES, targets=[0] * 50 + [1] * 50)
    kept = draw(SelfPaced(class_balanced=True), signals, 20).ids.tolist()
    assert sorted(kept) == [*range(10), *range(50, 60)]


def test_what_is_not_finite_is_admitted_last():
    signals = signals_of([float("nan"), 1.0, float("inf"), 9.0])
    assert sorted(draw(SelfPaced(), signals, 2).ids.tolist()) == [1, 3]


@given(start=st.floats(0.01, 1), ramp=st.floats(0, 1), one=st.floats(0, 1), other=st.floats(0, 1))
def test_the_pace_rises_from_its_start_to_one(start, ramp, one, other):
    early, late = sorted((one, other))
    assert start <= pace(early, start, ramp) <= pace(late, start, ramp) + 1e-12 <= 1 + 2e-12
    assert pace(max(ramp, one), start, ramp) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"start": 0.0}, r"start must be in \(0, 1\], got 0.0"), ({"ramp": 1.1}, r"ramp must be in \[0, 1\]")],
)
def test_what_is_out_of_range_is_refused(arguments, text):
    with pytest.raises(SelectorError, match=text):
        SelfPaced(**arguments)
