import pytest
import torch

from autotune.selectors.loss.rho_loss import RhoLoss, reducible_loss
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestRhoLoss(SelectorContract):
    @pytest.fixture
    def selector(self) -> RhoLoss:
        return RhoLoss()


LEARNT, WRONG, WORTH, BEATEN = (0.1, 0.2), (8.0, 7.5), (3.0, 0.2), (0.1, 2.0)  # loss, reference


def signals_of(*pairs):
    losses, reference = torch.tensor(pairs).T
    targets = torch.zeros(len(pairs)).long()
    readings = {Signal.LOSS: losses, Signal.REFERENCE_LOSS: reference, Signal.TARGETS: targets}
    return Signals(torch.arange(len(pairs)), readings)


def test_the_score_is_the_difference():
    assert torch.equal(
        reducible_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 4.0])), torch.tensor([2.0, -3])
    )


def test_what_is_learnable_and_not_learnt_goes_before_what_is_wrong_or_learnt():
    assert draw(RhoLoss(), signals_of(LEARNT, WRONG, WORTH, BEATEN), 4).ids.tolist() == [2, 1, 0, 3]


def test_a_constant_reference_makes_it_the_largest_loss():
    losses = torch.rand(50, generator=torch.Generator().manual_seed(0))
    signals = signals_of(*[(float(loss), 1.0) for loss in losses])
    assert set(draw(RhoLoss(), signals, 9).ids.tolist()) == set(losses.topk(9).indices.tolist())


def test_what_has_no_difference_comes_last():
    inf = float("inf")
    assert draw(RhoLoss(), signals_of((inf, inf), (1.0, 5.0), (inf, 1.0)), 1).ids.tolist() == [1]
