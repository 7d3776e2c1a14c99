import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.uniform.full import Full
from autotune.signals import Signals
from autotune.testing.selectors import SelectorContract, draw


class TestFull(SelectorContract):
    @pytest.fixture
    def selector(self) -> Full:
        return Full()

    def budgets(self, n: int) -> list[int]:
        return [n]


def test_it_keeps_everything_in_id_order():
    signals = Signals(torch.tensor([5, 1, 3]), {})
    assert draw(Full(), signals, 3).ids.tolist() == [1, 3, 5]


def test_a_smaller_budget_is_refused():
    with pytest.raises(SelectorError, match=r"all 3 candidates, got budget=2; set policy.fraction to 1"):
        draw(Full(), Signals(torch.arange(3), {}), 2)
