import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.selectors.coreset.herding import Herding, herd
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestHerding(SelectorContract):
    @pytest.fixture
    def selector(self) -> Herding:
        return Herding()


def points(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(n=st.integers(1, 30), d=st.integers(1, 6), seed=st.integers(0, 99))
def test_of_equal_lengths_each_pick_brings_the_mean_nearest(n, d, seed):
    features = torch.nn.functional.normalize(points(n, d, seed))
    picks, mean = herd(features, n).tolist(), features.mean(0)
    for place, pick in enumerate(picks):
        left = sorted(set(range(n)) - set(picks[:place]))
        means = (features[picks[:place]].sum(0) + features[left]) / (place + 1)
        gaps = (means - mean).norm(dim=1)
        assert gaps[left.index(pick)] <= gaps.min() + 1e-9


def test_a_small_subset_has_the_mean_of_all_where_a_random_one_has_not():
    features = points(2000, 16) + 1.0
    signals = Signals(torch.arange(2000), {Signal.FEATURES: features})
    unit = torch.nn.functional.normalize(features)

    def gap(ids):
        return float((unit[ids].mean(0) - unit.mean(0)).norm())

    random = torch.randperm(2000, generator=torch.Generator().manual_seed(0))[:40]
    assert gap(draw(Herding(), signals, 40).ids) < gap(random) / 10


def test_of_two_equal_samples_the_lower_id_comes_first():
    features = points(20, 4)
    picks = herd(torch.cat([features, features]), 40).tolist()
    for copy in range(20):
        assert picks.index(copy) < picks.index(copy + 20)
