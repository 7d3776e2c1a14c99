import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.selectors.loss.small_loss import SmallLoss
from autotune.signals import Reading, Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestSmallLoss(SelectorContract):
    @pytest.fixture
    def selector(self) -> SmallLoss:
        return SmallLoss()


class TestSmallLossBalanced(SelectorContract):
    @pytest.fixture
    def selector(self) -> SmallLoss:
        return SmallLoss(class_balanced=True)


class TestSmallLossRamp(SelectorContract):
    @pytest.fixture
    def selector(self) -> SmallLoss:
        return SmallLoss(ramp=0.5)


def signals_of(losses, covered=None, targets=None, progress=0.0):
    losses = torch.tensor(losses)
    n = len(losses)
    seen = torch.ones(n, dtype=torch.bool) if covered is None else torch.tensor(covered)
    classes = torch.zeros(n, dtype=torch.long) if targets is None else torch.tensor(targets)
    reading = Reading(losses, torch.zeros(n), seen)
    return Signals(torch.arange(n), {Signal.LOSS: reading, Signal.TARGETS: classes}, progress)


def test_the_smallest_losses_are_kept_smallest_first():
    assert draw(SmallLoss(), signals_of([3.0, 1.0, 2.0, 0.5]), 3).ids.tolist() == [3, 1, 2]


def test_what_is_not_finite_comes_last():
    signals = signals_of([float("nan"), 1.0, float("inf"), 9.0])
    assert draw(SmallLoss(), signals, 2).ids.tolist() == [1, 3]


def test_unseen_samples_come_first_in_random_order():
    signals = signals_of([0.1] * 50 + [0.0] * 50, covered=[True] * 50 + [False] * 50)
    subsets = [draw(SmallLoss(), signals, 10, seed).ids.tolist() for seed in range(3)]
    assert all(i >= 50 for subset in subsets for i in subset)
    assert len({tuple(subset) for subset in subsets}) == 3
    assert set(draw(SmallLoss(), signals, 60).ids.tolist()) >= set(range(50, 100))


@given(
    rows=st.lists(st.tuples(st.floats(0, 9, width=32), st.integers(0, 3)), min_size=1, max_size=50),
    data=st.data(),
)
def test_balanced_keeps_the_same_share_of_each_class_and_its_smallest(rows, data):
    losses, targets = (list(column) for column in zip(*rows, strict=True))
    budget = data.draw(st.integers(1, len(rows)))
    kept = set(draw(SmallLoss(True), signals_of(losses, targets=targets), budget).ids.tolist())
    for c in set(targets):
        members = [i for i in range(len(rows)) if targets[i] == c]
        inside = [losses[i] for i in members if i in kept]
        outside = [losses[i] for i in members if i not in kept]
        assert abs(len(inside) - budget * len(members) / len(rows)) < 1
        assert max(inside, default=0) <= min(outside, default=9)


@pytest.mark.parametrize(("progress", "strict"), [(0.0, 0), (0.1, 10), (0.2, 20), (0.4, 40), (0.9, 40)])
def test_the_strict_part_of_the_budget_grows_over_the_ramp(progress, strict):
    signals = signals_of([float(i) for i in range(1000)], progress=progress)
    kept = draw(SmallLoss(ramp=0.4), signals, 40).ids.tolist()
    assert kept[:strict] == list(range(strict))
    assert len(set(kept)) == 40
    if strict < 40:
        assert min(kept[strict:]) >= strict
        assert max(kept[strict:]) > 500


def test_the_relaxed_part_is_drawn_from_all_others_alike():
    signals, draws = signals_of([0.0, 1.0, 2.0, 3.0], progress=0.5), 2000
    counts = torch.zeros(4)
    for seed in range(draws):
        counts[draw(SmallLoss(ramp=1.0), signals, 2, seed).ids] += 1
    expected = torch.tensor([1, 1 / 3, 1 / 3, 1 / 3])
    assert bool(((counts / draws - expected).abs() <= 5 * (expected * (1 - expected) / draws).sqrt()).all())


@pytest.mark.parametrize("ramp", [-0.1, 1.5])
def test_a_ramp_out_of_range_is_refused(ramp):
    with pytest.raises(SelectorError, match=r"ramp must be in \[0, 1\]"):
        SmallLoss(ramp=ramp)


def test_regression_targets_are_not_balanced():
    readings = {Signal.LOSS: torch.tensor([2.0, 1.0]), Signal.TARGETS: torch.rand(2, 1)}
    assert draw(SmallLoss(True), Signals(torch.arange(2), readings), 1).ids.tolist() == [1]
