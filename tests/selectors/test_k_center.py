from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.selectors.coreset import k_center
from autotune.selectors.coreset.k_center import KCenter, farthest_first
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestKCenter(SelectorContract):
    @pytest.fixture
    def selector(self) -> KCenter:
        return KCenter()


def assert_greedy(points, picks):
    """Each pick is the farthest from those before it, in float64, but for the rounding of float32."""
    points = points.double()
    rounding = 1e-5 * float((points - points.mean(0)).square().sum(1).max())
    distance = torch.full((len(points),), torch.inf, dtype=torch.float64)
    for before, pick in pairwise(picks):
        distance = torch.minimum(distance, (points - points[before]).square().sum(1))
        assert distance[pick] >= distance.max() - rounding


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 200), d=st.integers(1, 20), seed=st.integers(0, 999), active=st.integers(1, 50))
def test_the_picks_are_those_of_the_plain_algorithm(n, d, seed, active):
    points = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:  # small numbers, so that points wait and are caught up
        patch.setattr(k_center, "ACTIVE", active)
        patch.setattr(k_center, "CHUNK", 3)
        picks = farthest_first(points, n, seed % n).tolist()
    assert sorted(picks) == list(range(n))
    assert picks[0] == seed % n
    assert_greedy(points, picks)


def test_the_picks_are_greedy_at_the_real_block_sizes():
    points = torch.randn(4000, 12, generator=torch.Generator().manual_seed(0)).relu()
    assert_greedy(points, farthest_first(points, 400, 7).tolist())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40), st.integers(0, 99))
def test_duplicates_come_last_in_id_order(rows, seed):
    points, n = torch.tensor(rows, dtype=torch.float32), len(rows)
    first = seed % n
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(k_center, "ACTIVE", 4)
        picks = farthest_first(points, n, first).tolist()
    distinct = len(set(rows))
    assert len({rows[i] for i in picks[:distinct]}) == distinct
    assert picks[distinct:] == sorted(picks[distinct:])


def test_equal_distances_go_to_the_lowest_id():
    points = torch.eye(8)[[0, 1, 1, 2, 2, 2, 3, 4]]  # all classes equally far from each other
    assert farthest_first(points - points.mean(0), 5, 0).tolist() == [0, 1, 3, 6, 7]


def test_all_equal_points_are_taken_in_id_order():
    picks = farthest_first(torch.full((9, 3), 0.1), 6, 4).tolist()
    assert picks == [4, 0, 1, 2, 3, 5]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_neither_scale_nor_a_common_offset_matters(scale, shift):
    points = torch.randint(0, 64, (200, 4), generator=torch.Generator().manual_seed(0)).float()
    assert_greedy(points, farthest_first((points + shift) * scale, 40, 0).tolist())


def test_the_order_is_nested_and_the_first_is_drawn():
    points = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0))
    signals = Signals(torch.arange(3000), {Signal.FEATURES: points})
    large = draw(KCenter(), signals, 1500, seed=1).ids
    for budget in (1, 10, 700):
        assert torch.equal(draw(KCenter(), signals, budget, seed=1).ids, large[:budget])
    assert len({int(draw(KCenter(), signals, 1, seed).ids) for seed in range(5)}) > 1


def test_a_copy_is_taken_only_once_until_all_others_are():
    points = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    signals = Signals(torch.arange(100), {Signal.FEATURES: torch.cat([points, points])})
    picked = draw(KCenter(), signals, 50).ids % 50
    assert sorted(picked.tolist()) == list(range(50))


def test_a_sample_without_a_finite_embedding_comes_last():
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    points[4, 1], points[2, 0] = torch.nan, torch.inf
    ids = draw(KCenter(), Signals(torch.arange(20), {Signal.FEATURES: points}), 19).ids.tolist()
    assert ids[-1:] == [2]
    assert 4 not in ids
