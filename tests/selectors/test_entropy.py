import math

import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.loss.entropy import Entropy, entropies
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestEntropy(SelectorContract):
    @pytest.fixture
    def selector(self) -> Entropy:
        return Entropy()


def test_scores_are_entropies_in_nats():
    probabilities = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    assert entropies(probabilities).tolist() == pytest.approx([0.0, math.log(2), math.log(3)])


def test_the_most_uncertain_are_kept():
    probabilities = torch.tensor([[0.9, 0.1], [0.5, 0.5], [1.0, 0.0], [0.3, 0.7]])
    signals = Signals(
        torch.arange(4), {Signal.PROBABILITIES: probabilities, Signal.TARGETS: torch.zeros(4).long()}
    )
    assert draw(Entropy(), signals, 4).ids.tolist() == [1, 3, 0, 2]


def test_regression_is_refused():
    readings = {Signal.PROBABILITIES: torch.ones(3, 1), Signal.TARGETS: torch.rand(3)}
    with pytest.raises(SelectorError, match="'entropy' needs class ids"):
        draw(Entropy(), Signals(torch.arange(3), readings), 1)
