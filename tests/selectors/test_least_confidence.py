import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.loss.least_confidence import LeastConfidence, doubt
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestLeastConfidence(SelectorContract):
    @pytest.fixture
    def selector(self) -> LeastConfidence:
        return LeastConfidence()


def test_scores_are_one_less_the_largest_probability():
    probabilities = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.2, 0.4], [0.1, 0.3, 0.6]])
    assert doubt(probabilities).tolist() == pytest.approx([0.0, 0.6, 0.4])


def test_the_least_sure_are_kept():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.45, 0.3, 0.25]])
    targets = torch.zeros(3).long()
    signals = Signals(torch.arange(3), {Signal.PROBABILITIES: probabilities, Signal.TARGETS: targets})
    assert draw(LeastConfidence(), signals, 3).ids.tolist() == [2, 1, 0]


def test_regression_is_refused():
    readings = {Signal.PROBABILITIES: torch.ones(3, 1), Signal.TARGETS: torch.rand(3)}
    with pytest.raises(SelectorError, match="'least_confidence' needs class ids"):
        draw(LeastConfidence(), Signals(torch.arange(3), readings), 1)
