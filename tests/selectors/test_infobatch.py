import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.selectors.loss.infobatch import InfoBatch, high_stratum
from autotune.signals import Reading, Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestInfoBatch(SelectorContract):
    @pytest.fixture
    def selector(self) -> InfoBatch:
        return InfoBatch()


class TestInfoBatchLowFloor(SelectorContract):
    @pytest.fixture
    def selector(self) -> InfoBatch:
        return InfoBatch(floor=0.1)


losses_of = st.lists(
    st.one_of(st.sampled_from([0.0, 1.0, float("nan"), float("inf")]), st.floats(0, 5, width=32)),
    min_size=1,
    max_size=7,
)


@given(losses=losses_of, floor=st.floats(0.01, 1), data=st.data())
def test_every_sample_has_the_same_expected_weight_by_enumeration(losses, floor, data):
    """All C(m, k) draws are equally likely, so the expectation is a sum over them, in any stratum size."""
    n = len(losses)
    covered = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    budget = data.draw(st.integers(1, n))
    high = high_stratum(torch.tensor(losses), covered, budget - min(budget, max(1, round(floor * budget))))
    kept = int(high.sum())
    k, others = budget - kept, [i for i in range(n) if not high[i]]
    assert 1 <= k <= len(others)
    reading = Reading(torch.tensor(losses), torch.zeros(n), covered)
    subset = draw(InfoBatch(floor), Signals(torch.arange(n), {Signal.LOSS: reading}), budget)
    weight = dict(zip(subset.ids.tolist(), subset.weights.tolist(), strict=True))
    assert set(high.nonzero().squeeze(1).tolist()) <= set(weight)
    high_weight, low_weight = budget / n, len(others) / k * budget / n  # constants, given the signals
    assert all(w == pytest.approx(high_weight if high[i] else low_weight) for i, w in weight.items())
    draws = list(itertools.combinations(others, k))
    for i in others:
        assert sum(low_weight for d in draws if i in d) / len(draws) == pytest.approx(budget / n)


def strata(losses, budget, floor=0.5):
    high = high_stratum(
        torch.tensor(losses),
        torch.ones(len(losses), dtype=torch.bool),
        budget - max(1, round(floor * budget)),
    )
    return high.nonzero().squeeze(1).tolist()


def test_the_threshold_is_the_mean_where_the_budget_allows():
    assert strata([0.0, 0, 0, 0, 0, 0, 0, 0, 5, 5], 6) == [8, 9]


def test_the_threshold_rises_to_keep_the_floor():
    losses = [0.1 * i for i in range(10)]
    assert strata(losses, 6) == [7, 8, 9]
    assert strata(losses, 2) == [9]
    assert strata(losses, 6, floor=1.0) == strata(losses, 1) == []


def test_equal_losses_stay_together():
    assert strata([1.0] * 10, 6) == []
    assert strata([0.0] * 5 + [1.0] * 4 + [2.0], 6) == [9]


def test_unseen_samples_are_kept_where_they_fit_and_drawn_otherwise():
    losses = torch.tensor([0.0, 0.0, 1.0, 9.0, 0.0, 0.0])
    covered = torch.tensor([True, True, True, True, False, False])
    assert high_stratum(losses, covered, 3).tolist() == [False, False, False, True, True, True]
    assert high_stratum(losses, covered, 2).tolist() == [False, False, False, False, True, True]
    assert high_stratum(losses, covered, 1).tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize("floor", [0.0, -0.5, 1.5])
def test_a_floor_out_of_range_is_refused(floor):
    with pytest.raises(SelectorError, match=r"floor must be in \(0, 1\], got"):
        InfoBatch(floor)
