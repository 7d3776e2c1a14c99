import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autotune.data import Dataset
from autotune.errors import ConfigurationError, DataError
from autotune.task import (
    Batch,
    Classification,
    CustomLoop,
    Regression,
    classification_metrics,
    matched,
    prepare_inputs,
    regression_metrics,
)
from autotune.testing.tasks import TaskContract


def three(config):
    return nn.Linear(6, 3)


def one(config):
    return nn.Linear(6, 1)


def images(config):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4))


def focal(model, batch):
    return F.cross_entropy(model(batch.inputs), batch.targets, reduction="none").square()


def arrays(n=120):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 6)).astype(np.float32), rng


class TestClassification(TaskContract):
    @pytest.fixture(params=["accuracy", "log_loss", "balanced_accuracy", "worst_class"])
    def task(self, request):
        inputs, rng = arrays()
        return Classification(
            Dataset.from_arrays(inputs, rng.integers(0, 3, 120)), three, metric=request.param
        )


class TestOwnLoss(TaskContract):
    @pytest.fixture
    def task(self):
        inputs, rng = arrays()
        return Classification(Dataset.from_arrays(inputs, rng.integers(0, 3, 120)), three, loss=focal)


class TestBytes(TaskContract):
    @pytest.fixture
    def task(self):
        rng = np.random.default_rng(0)
        inputs = rng.integers(0, 256, (120, 4, 4)).astype(np.uint8)
        return Classification(Dataset.from_arrays(inputs, rng.integers(0, 4, 120)), images)


class TestRegression(TaskContract):
    @pytest.fixture(params=["rmse", "mae", "r2"])
    def task(self, request):
        inputs, _ = arrays()
        return Regression(Dataset.from_arrays(inputs, inputs[:, 0]), one, metric=request.param)


class TestManyOutputs(TaskContract):
    @pytest.fixture
    def task(self):
        inputs, _ = arrays()
        return Regression(Dataset.from_arrays(inputs, inputs[:, :3]), three)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda data: Classification(data, three, metric="acuracy"), "did you mean 'accuracy'"),
        (lambda data: Regression(data, one, metric="rsme"), "did you mean 'rmse'"),
        (lambda data: Classification(data, three, metric=3), "unknown metric '3'"),
        (
            lambda data: CustomLoop(data, print, mode="maximise"),
            "mode must be 'max' or 'min', got 'maximise'",
        ),
    ],
)
def test_what_cannot_work_says_so(make, text):
    inputs, rng = arrays()
    with pytest.raises(ConfigurationError, match=text):
        make(Dataset.from_arrays(inputs, rng.integers(0, 3, 120)))


def test_an_own_metric_comes_with_an_own_task():
    class Half(Classification):
        def metrics(self, outputs, targets):
            return super().metrics(outputs, targets) | {"half": 0.5}

    inputs, rng = arrays()
    task = Half(Dataset.from_arrays(inputs, rng.integers(0, 3, 120)), three, metric="half")
    assert task.score(task.metrics(torch.randn(9, 3), torch.randint(3, (9,)))) == 0.5


def test_metrics_by_hand():
    outputs = torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    metrics = classification_metrics(outputs, torch.tensor([0, 0, 0, 2]))
    assert metrics["accuracy"] == 0.75
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)  # class 1 has no sample
    assert metrics["worst_class"] == pytest.approx(2 / 3)
    numbers = regression_metrics(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 6.0]))
    assert numbers["rmse"] == pytest.approx(math.sqrt(3))
    assert numbers["mae"] == 1.0
    assert numbers["r2"] == pytest.approx(1 - 9 / 14)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_prediction_that_is_not_a_number_has_no_accuracy(wrong):
    outputs = torch.tensor([[0.0, 1.0], [wrong, 1.0]])
    assert all(math.isnan(value) for value in classification_metrics(outputs, torch.tensor([1, 1])).values())


def test_a_class_that_a_model_rules_out_is_no_error():
    outputs = torch.tensor([[-math.inf, 1.0, 0.0], [-math.inf, 0.0, 1.0]])
    metrics = classification_metrics(outputs, torch.tensor([1, 1]))
    assert metrics["accuracy"] == 0.5 and math.isfinite(metrics["log_loss"])


@given(st.integers(1, 20), st.integers(2, 5), st.integers(0, 99))
def test_accuracies_agree(n, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(n, classes, generator=generator)
    targets = torch.randint(classes, (n,), generator=generator)
    metrics = classification_metrics(outputs, targets)
    assert metrics["accuracy"] == pytest.approx((outputs.argmax(1) == targets).float().mean().item())
    assert 0 <= metrics["worst_class"] <= metrics["balanced_accuracy"] <= 1


def test_shapes_that_would_broadcast_are_refused():
    assert matched(torch.ones(4, 1), torch.ones(4)).shape == (4,)
    for outputs, targets in (((4, 4), (4,)), ((1,), (4,)), ((2, 2), (4,))):
        with pytest.raises(DataError, match="must have the shape of the targets"):
            matched(torch.ones(outputs), torch.ones(targets))


def test_inputs_as_models_take_them():
    assert prepare_inputs(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]
    assert prepare_inputs(torch.tensor([0.5], dtype=torch.float64)).dtype == torch.float32
    assert prepare_inputs(torch.tensor([7], dtype=torch.int32)).dtype == torch.int64
    tokens = torch.tensor([7])
    assert prepare_inputs(tokens) is tokens


def test_smoothing_is_for_the_default_loss_only():
    inputs, rng = arrays()
    data = Dataset.from_arrays(inputs, rng.integers(0, 3, 120))
    batch = Batch(torch.arange(4), torch.randn(4, 6), torch.tensor([0, 1, 2, 0]), torch.ones(4))
    model = three({})
    plain, own = Classification(data, three), Classification(data, three, loss=focal)
    assert not torch.equal(plain.losses(model, batch), plain.losses(model, batch, smoothing=0.2))
    assert torch.equal(own.losses(model, batch), own.losses(model, batch, smoothing=0.2))
