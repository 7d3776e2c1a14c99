import pytest
import torch
import torch.nn.functional as F

from autotune.selectors.loss.grand import GraNd, grand_scores
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestGraNd(SelectorContract):
    @pytest.fixture
    def selector(self) -> GraNd:
        return GraNd(skip=0.1)


def test_scores_are_the_norms_of_the_gradients_that_autograd_gives():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, generator=generator, dtype=torch.double, requires_grad=True)
    bias = torch.randn(3, generator=generator, dtype=torch.double, requires_grad=True)
    inputs = torch.randn(5, 4, generator=generator, dtype=torch.double)
    targets = torch.tensor([0, 1, 2, 0, 1])
    logits = F.linear(inputs, weight, bias)
    losses = F.cross_entropy(logits, targets, reduction="none")
    expected = []
    for loss in losses:
        gradients = torch.autograd.grad(loss, [weight, bias], retain_graph=True)
        expected.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    errors = logits.softmax(1) - F.one_hot(targets, 3)
    torch.testing.assert_close(grand_scores(inputs, errors.detach()), torch.stack(expected))


def test_the_largest_are_kept_and_no_gradient_comes_last():
    readings = random_readings(GraNd.needs, 20)
    readings[Signal.ERRORS].values[3] = 0
    signals = Signals(torch.arange(20), readings)
    scores = grand_scores(signals[Signal.EMBEDDINGS], signals[Signal.ERRORS])
    kept = draw(GraNd(), signals, 20).ids.tolist()
    assert kept == scores.argsort(descending=True).tolist()
    assert kept[-1] == 3
