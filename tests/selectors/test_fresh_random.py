import pytest
import torch

from autotune.selectors.uniform.fresh_random import FreshRandom
from autotune.signals import Signals
from autotune.testing.selectors import SelectorContract


class TestFreshRandom(SelectorContract):
    @pytest.fixture
    def selector(self) -> FreshRandom:
        return FreshRandom()


def test_each_selection_is_a_new_draw():
    generator, signals = torch.Generator().manual_seed(0), Signals(torch.arange(1000), {})
    one, two = (set(FreshRandom().select(signals, 100, generator).ids.tolist()) for _ in range(2))
    assert 0 < len(one & two) < 40  # 10 expected by chance
