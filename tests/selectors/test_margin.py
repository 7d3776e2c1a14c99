import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.loss.margin import Margin, closeness
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestMargin(SelectorContract):
    @pytest.fixture
    def selector(self) -> Margin:
        return Margin()


def test_scores_are_one_less_the_gap_of_the_two_likeliest():
    probabilities = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.2, 0.4], [0.1, 0.3, 0.6]])
    assert closeness(probabilities).tolist() == pytest.approx([0.0, 1.0, 0.7])


def test_a_single_class_is_never_close():
    assert closeness(torch.ones(2, 1)).tolist() == [0.0, 0.0]


def test_the_third_class_decides_nothing_here():
    """Unlike the entropy, which is larger for the second of these."""
    probabilities = torch.tensor([[0.5, 0.45, 0.05], [0.45, 0.3, 0.25]])
    targets = torch.zeros(2).long()
    signals = Signals(torch.arange(2), {Signal.PROBABILITIES: probabilities, Signal.TARGETS: targets})
    assert draw(Margin(), signals, 1).ids.tolist() == [0]


def test_regression_is_refused():
    readings = {Signal.PROBABILITIES: torch.ones(3, 1), Signal.TARGETS: torch.rand(3)}
    with pytest.raises(SelectorError, match="'margin' needs class ids"):
        draw(Margin(), Signals(torch.arange(3), readings), 1)
