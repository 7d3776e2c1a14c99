import pytest
import torch
import torch.nn.functional as F

from autotune.errors import SelectorError
from autotune.sampling import sort_cost
from autotune.selection import width_of
from autotune.selectors.influence.trak import Trak, trak_scores
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract
from autotune.testing.signals import random_readings


class TestTrak(SelectorContract):
    @pytest.fixture
    def selector(self) -> Trak:
        return Trak()


def logistic(n, seed=0, width=4, classes=3):
    """A linear softmax model in float64: its gradients of loss and of log-odds of the label, and p."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, width, generator=generator, dtype=torch.double, requires_grad=True)
    x = torch.randn(n, width, generator=generator, dtype=torch.double)
    y = torch.randint(classes, (n,), generator=generator)
    losses = F.cross_entropy(x @ weight.T, y, reduction="none")
    odds = -losses - torch.log1p(-torch.exp(-losses))

    def rows(values):
        return torch.stack([torch.autograd.grad(v, weight, retain_graph=True)[0].flatten() for v in values])

    return rows(losses), rows(odds), torch.exp(-losses).detach()


def test_with_the_papers_weights_it_is_the_papers_formula():
    gradients, features, p = logistic(30)
    wanted, wanted_features, wanted_p = logistic(5, seed=1)
    kernel = features.T @ features
    ridge = 0.2 * kernel.diagonal().mean() * torch.eye(len(kernel), dtype=torch.double)
    expected = (wanted_features @ torch.linalg.solve(kernel + ridge, features.T) * (1 - p)).T
    found = trak_scores(gradients, wanted.T, 0.2, weights=1 / (1 - p).square())
    torch.testing.assert_close(found, expected * (1 - wanted_p))  # v is a gradient of the loss too


def test_with_equal_weights_the_kernel_is_of_the_gradients_themselves():
    gradients, _, _ = logistic(30)
    wanted, _, _ = logistic(5, seed=1)
    kernel = gradients.T @ gradients
    ridge = 0.2 * kernel.diagonal().mean() * torch.eye(len(kernel), dtype=torch.double)
    expected = gradients @ torch.linalg.solve(kernel + ridge, wanted[0])
    torch.testing.assert_close(trak_scores(gradients, wanted[0], 0.2), expected)


def test_scores_are_means_over_checkpoints():
    readings = random_readings(Trak.needs, 20)
    given, wanted = (
        readings[s].values for s in (Signal.CHECKPOINT_GRADIENTS, Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS)
    )
    expected = sum(trak_scores(given[:, c], wanted[:, c].mean(0), 0.3) for c in range(2)) / 2
    scores = Trak(ridge=0.3).scores(Signals(torch.arange(20), readings), torch.Generator())
    torch.testing.assert_close(scores, expected)


def test_a_row_that_is_not_finite_changes_no_other_and_zero_is_neutral():
    gradients, _, _ = logistic(10)
    gradients[2] = 0
    spoilt = torch.cat([gradients, torch.full_like(gradients[:1], torch.inf)])
    wanted = torch.ones(gradients.shape[1], dtype=torch.double)
    found = trak_scores(spoilt, wanted, 0.3)
    torch.testing.assert_close(found[:10], trak_scores(gradients, wanted, 0.3))
    assert not bool(found[10].isfinite())
    assert float(found[2]) == 0
    assert not bool(trak_scores(torch.zeros(4, 3), torch.ones(3), 0.3).any())


@pytest.mark.parametrize("ridge", [0.0, -1.0])
def test_a_ridge_out_of_range_is_refused(ridge):
    with pytest.raises(SelectorError, match="ridge must be finite and above 0, got"):
        Trak(ridge=ridge)


def test_its_cost_is_that_of_the_numbers_at_one_checkpoint():
    """Three checkpoints of 16 numbers are not one of 48, whose square is nine times as large."""
    gradients = random_readings(Trak.needs, 50)[Signal.CHECKPOINT_GRADIENTS].values
    assert width_of(gradients) == gradients.shape[-1] < gradients[0].numel()
    arithmetic = Trak().cost(1000, 10, 16) - sort_cost(1000)
    assert arithmetic == pytest.approx(3 * (2.0 * 1000 * 16**2 + 16**3))
