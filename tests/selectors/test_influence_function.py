import pytest
import torch
import torch.nn.functional as F

from autotune.errors import SelectorError
from autotune.selectors.influence.ekfac import EKFAC
from autotune.selectors.influence.influence_function import InfluenceFunction
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract
from autotune.testing.signals import random_readings


class TestInfluenceFunction(SelectorContract):
    @pytest.fixture
    def selector(self) -> InfluenceFunction:
        return InfluenceFunction()


@pytest.mark.parametrize(("selector", "damping"), [(InfluenceFunction, 0.03), (EKFAC, 0.03)])
def test_it_predicts_retraining_better_than_the_inner_product_alone(selector, damping):
    """Influence on a trained linear model, against one Newton step without each sample."""
    generator = torch.Generator().manual_seed(0)
    n, m, classes, width = 60, 20, 3, 4
    h = torch.randn(n + m, width, generator=generator, dtype=torch.double) * torch.tensor([5.0, 2, 1, 0.2])
    y = (h @ torch.randn(width, classes, generator=generator, dtype=torch.double)).argmax(1)
    y[::5] = torch.randint(classes, (len(y[::5]),), generator=generator)
    rows = F.pad(h, (0, 1), value=1.0)
    weight = torch.zeros(classes, width + 1, dtype=torch.double)

    def loss(flat, keep):
        return F.cross_entropy(rows[keep] @ flat.view(classes, -1).T, y[keep]) + 0.01 * flat.square().sum()

    def newton(flat, keep):
        hessian = torch.autograd.functional.hessian(lambda w: loss(w, keep), flat)
        return flat - torch.linalg.solve(hessian, torch.func.grad(lambda w: loss(w, keep))(flat))

    train, flat = torch.arange(n + m) < n, weight.flatten()
    for _ in range(20):
        flat = newton(flat, train)
    removed = []
    for i in range(n):
        keep = train.clone()
        keep[i] = False
        removed.append(F.cross_entropy(rows[n:] @ newton(flat, keep).view(classes, -1).T, y[n:]))
    truth = torch.stack(removed)
    probabilities = (rows @ flat.view(classes, -1).T).softmax(1)
    errors = probabilities - F.one_hot(y, classes)
    readings = {
        Signal.EMBEDDINGS: h[:n],
        Signal.ERRORS: errors[:n],
        Signal.PROBABILITIES: probabilities[:n],
        Signal.TARGETS: y[:n],
        Signal.TARGET_SPLIT_EMBEDDINGS: h[n:],
        Signal.TARGET_SPLIT_ERRORS: errors[n:],
    }
    signals = Signals(torch.arange(n), readings)

    def correlation(damping):
        scores = selector(damping=damping).scores(signals, torch.Generator())
        return float(torch.corrcoef(torch.stack([scores, truth]))[0, 1])

    assert correlation(damping) > 0.93
    assert correlation(damping) > correlation(1e6) + 0.1  # that much damping leaves the inner product


def test_regression_targets_are_refused():
    readings = random_readings(InfluenceFunction.needs, 3) | {Signal.TARGETS: torch.rand(3)}
    with pytest.raises(SelectorError, match="class ids"):
        InfluenceFunction().scores(Signals(torch.arange(3), readings), torch.Generator())


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("damping", 0.0, "damping must be finite and above 0, got"),
        ("steps", 0, "steps must be at least 1, got"),
    ],
)
def test_values_out_of_range_are_refused(field, value, text):
    with pytest.raises(SelectorError, match=text):
        InfluenceFunction(**{field: value})
