import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.selectors.loss.forgetting import Forgetting, forgetting_events
from autotune.signals import Reading, Signal, Signals
from autotune.testing.selectors import SelectorContract, draw

NAN = math.nan


class TestForgetting(SelectorContract):
    @pytest.fixture
    def selector(self) -> Forgetting:
        return Forgetting()


class TestForgettingCoverage(SelectorContract):
    @pytest.fixture
    def selector(self) -> Forgetting:
        return Forgetting(sampler="coverage", skip=0.1)


def signals_of(rows, covered=None):
    n = len(rows)
    seen = torch.ones(n, dtype=torch.bool) if covered is None else torch.tensor(covered)
    history = Reading(torch.tensor(rows), torch.zeros(n), seen)
    return Signals(torch.arange(n), {Signal.MARGIN_HISTORY: history, Signal.TARGETS: torch.zeros(n).long()})


@given(
    st.integers(1, 7).flatmap(
        lambda t: st.lists(
            st.tuples(st.integers(0, t), st.lists(st.sampled_from([-1.0, 0.0, 2.0]), min_size=t, max_size=t)),
            min_size=1,
        )
    )
)
def test_events_are_counted_as_by_hand(rows):
    margins = [[NAN] * unseen + row[unseen:] for unseen, row in rows]
    found = forgetting_events(torch.tensor(margins)).tolist()
    for (unseen, row), count in zip(rows, found, strict=True):
        right = [margin > 0 for margin in row[unseen:]]
        if not right:
            assert math.isnan(count)
        elif not any(right):
            assert count == len(row)
        else:
            assert count == sum(before and not after for before, after in pairwise(right))
            assert count < len(row)


def test_never_learnt_goes_before_often_forgotten_before_never_forgotten():
    often, never_learnt, once, unforgettable = (
        [1.0, -1, 1, -1],
        [-1.0] * 4,
        [NAN, 1, 1, -1],
        [NAN, NAN, 1.0, 1],
    )
    signals = signals_of([often, never_learnt, once, unforgettable])
    assert draw(Forgetting(), signals, 4).ids.tolist() == [1, 0, 2, 3]


def test_of_equal_counts_chance_decides():
    signals = signals_of([[1.0, 1.0]] * 6)
    assert {draw(Forgetting(), signals, 1, seed).ids.item() for seed in range(100)} == set(range(6))


def test_unseen_samples_are_taken_about_as_often_as_others():
    rows, covered = [[1.0, -1.0]] * 50 + [[1.0, 1.0]] * 50 + [[0.0, 0.0]] * 100, [True] * 100 + [False] * 100
    kept = draw(Forgetting(), signals_of(rows, covered), 100).ids
    assert int((kept < 50).sum()) == 50
    assert 25 <= int((kept >= 100).sum()) <= 50
