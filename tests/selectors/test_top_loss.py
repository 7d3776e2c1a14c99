import pytest
import torch

from autotune.selectors.loss.top_loss import TopLoss
from autotune.signals import Reading, Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestTopLoss(SelectorContract):
    @pytest.fixture
    def selector(self) -> TopLoss:
        return TopLoss()


class TestTopLossCoverage(SelectorContract):
    @pytest.fixture
    def selector(self) -> TopLoss:
        return TopLoss(sampler="coverage", skip=0.2, class_balanced=True)


def signals_of(losses, covered=None):
    n = len(losses)
    seen = torch.ones(n, dtype=torch.bool) if covered is None else torch.tensor(covered)
    reading = Reading(torch.tensor(losses), torch.zeros(n), seen)
    return Signals(torch.arange(n), {Signal.LOSS: reading, Signal.TARGETS: torch.zeros(n).long()})


def test_the_largest_are_kept_largest_first_and_ties_by_id():
    signals = signals_of([2.0, 5.0, 5.0, 1.0])
    assert draw(TopLoss(), signals, 3).ids.tolist() == [1, 2, 0]
    assert draw(TopLoss(skip=0.25), signals, 2).ids.tolist() == [2, 0]


def test_what_is_not_finite_or_not_known_comes_last():
    signals = signals_of([float("inf"), 1.0, float("nan"), 0.5, 9.0], [True, True, True, True, False])
    assert draw(TopLoss(), signals, 2).ids.tolist() == [1, 3]


def test_regression_targets_do_as_well():
    readings = {Signal.LOSS: torch.tensor([2.0, 3.0]), Signal.TARGETS: torch.rand(2, 1)}
    assert draw(TopLoss(class_balanced=True), Signals(torch.arange(2), readings), 1).ids.tolist() == [1]
