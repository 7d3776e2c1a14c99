import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.selection import Scope
from autotune.selectors.uniform.fixed_random import FixedRandom
from autotune.signals import Signals
from autotune.testing.selectors import SelectorContract, draw


class TestFixedRandom(SelectorContract):
    @pytest.fixture
    def selector(self) -> FixedRandom:
        return FixedRandom()


@given(n=st.integers(1, 60), seed=st.integers(0, 2**62), data=st.data())
def test_a_smaller_budget_is_a_prefix_of_a_larger_one(n, seed, data):
    signals = Signals(torch.arange(n), {})
    small = data.draw(st.integers(1, n))
    large = data.draw(st.integers(small, n))
    prefix = draw(FixedRandom(), signals, large, seed).ids[:small]
    assert torch.equal(draw(FixedRandom(), signals, small, seed).ids, prefix)


def test_one_answer_holds_for_a_trial():
    assert FixedRandom.scope is Scope.STUDY
