import pytest
import torch
import torch.nn.functional as F

from autotune.numerics.influence import alignment_scores, mean_gradient
from autotune.selectors.influence.target_alignment import TargetAlignment
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestTargetAlignment(SelectorContract):
    @pytest.fixture
    def selector(self) -> TargetAlignment:
        return TargetAlignment()


class TestTargetAlignmentUnbalanced(SelectorContract):
    @pytest.fixture
    def selector(self) -> TargetAlignment:
        return TargetAlignment(class_balanced=False)


def task(n, m, seed=0, classes=3, width=5):
    """A linear softmax model in float64, its features and labels, and the same for a target split."""
    generator = torch.Generator().manual_seed(seed)
    layer = torch.nn.Linear(width, classes, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    h = torch.randn(n + m, width, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (n + m,), generator=generator)
    with torch.no_grad():
        e = layer(h).softmax(1) - F.one_hot(y, classes)
    return layer, h, y, e


def last_layer_gradient(layer, h, y):
    loss = F.cross_entropy(layer(h), y)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [layer.weight, layer.bias])])


def test_scores_are_the_inner_products_that_autograd_finds():
    n, m = 7, 5
    layer, h, y, e = task(n, m)
    target = last_layer_gradient(layer, h[n:], y[n:])
    expected = [last_layer_gradient(layer, h[i : i + 1], y[i : i + 1]) @ target for i in range(n)]
    readings = {
        Signal.EMBEDDINGS: h[:n],
        Signal.ERRORS: e[:n],
        Signal.TARGETS: y[:n],
        Signal.TARGET_SPLIT_EMBEDDINGS: h[n:],
        Signal.TARGET_SPLIT_ERRORS: e[n:],
    }
    scores = TargetAlignment().scores(Signals(torch.arange(n), readings), torch.Generator())
    assert torch.allclose(scores, torch.stack(expected), atol=1e-10)


def test_a_step_on_the_best_lowers_the_target_loss_and_on_the_worst_raises_it():
    n, m = 200, 50
    layer, h, y, e = task(n, m)
    scores = alignment_scores(h[:n], e[:n], mean_gradient(h[n:], e[n:]))

    def after_a_step_on(i):
        stepped = torch.nn.Linear(5, 3, dtype=torch.float64)
        gradients = torch.autograd.grad(
            F.cross_entropy(layer(h[i : i + 1]), y[i : i + 1]), layer.parameters()
        )
        with torch.no_grad():
            for new, old, gradient in zip(stepped.parameters(), layer.parameters(), gradients, strict=True):
                new.copy_(old - 1e-3 * gradient)
            return float(F.cross_entropy(stepped(h[n:]), y[n:]))

    before = float(F.cross_entropy(layer(h[n:]), y[n:]).detach())
    assert after_a_step_on(int(scores.argmax())) < before < after_a_step_on(int(scores.argmin()))


def test_balanced_keeps_the_same_share_of_each_class():
    readings = random_readings(TargetAlignment.needs, 400)
    signals = Signals(torch.arange(400), readings)
    targets = readings[Signal.TARGETS].values
    kept = targets[draw(TargetAlignment(), signals, 100).ids].bincount(minlength=4)
    assert bool(((kept - targets.bincount(minlength=4) / 4).abs() < 1).all())
    loose = targets[draw(TargetAlignment(class_balanced=False), signals, 100).ids].bincount(minlength=4)
    assert loose.tolist() != kept.tolist()
