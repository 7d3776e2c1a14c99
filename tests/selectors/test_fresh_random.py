import pytest
import torch

from autotune.selectors.uniform.fresh_random import FreshRandom
from autotune.signals import Signals
from autotune.testing.selectors import SelectorContract


class TestFreshRandom(SelectorContract):
    @pytest.fixture
    def selector(self) -> FreshRandom:
        return FreshRandom()


class TestFreshRandomWithReplacement(SelectorContract):
    @pytest.fixture
    def selector(self) -> FreshRandom:
        return FreshRandom(replacement=True)


def test_each_selection_is_a_new_draw():
    generator, signals = torch.Generator().manual_seed(0), Signals(torch.arange(1000), {})
    one, two = (set(FreshRandom().select(signals, 100, generator).ids.tolist()) for _ in range(2))
    assert 0 < len(one & two) < 40  # 10 expected by chance


def test_samples_repeat_only_with_replacement():
    generator, signals = torch.Generator().manual_seed(0), Signals(torch.arange(1000), {})
    assert len(set(FreshRandom().select(signals, 1000, generator).ids.tolist())) == 1000
    repeated = FreshRandom(replacement=True).select(signals, 1000, generator)
    assert 560 < len(set(repeated.ids.tolist())) < 700  # 632 expected
    assert repeated.weights.eq(1).all()
