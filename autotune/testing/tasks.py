"""The contract of a task that our own loop trains, as a suite to subclass."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor, nn

from autotune.data import Dataset
from autotune.errors import MissingMetricError
from autotune.events import Config
from autotune.task import MAX, MIN, Batch, ModelTask


class TaskContract:
    """Subclass it, and override `task`; `config` where the model needs one."""

    @pytest.fixture
    def task(self) -> ModelTask:
        raise NotImplementedError

    @pytest.fixture
    def config(self) -> Config:
        return {}

    @pytest.fixture
    def model(self, task: ModelTask, config: Config) -> nn.Module:
        torch.manual_seed(0)
        return task.model(config).eval()

    def batch(self, task: ModelTask, ids: slice) -> Batch:
        inputs = task.prepare(torch.tensor(task.data.inputs[ids]))
        targets = torch.tensor(task.data.targets[ids])
        targets = targets.float() if targets.is_floating_point() else targets.long()
        return Batch(torch.arange(len(inputs)), inputs, targets, torch.ones(len(inputs)))

    def outputs(self, task: ModelTask, model: nn.Module, ids: slice) -> tuple[Tensor, Tensor]:
        batch = self.batch(task, ids)
        with torch.no_grad():
            return model(batch.inputs), batch.targets

    def test_losses_are_one_finite_number_per_sample(self, task: ModelTask, model: nn.Module) -> None:
        losses = task.losses(model, self.batch(task, slice(0, 16)))
        assert losses.shape == (16,)
        assert torch.isfinite(losses).all()
        assert losses.requires_grad

    def test_a_samples_loss_does_not_depend_on_its_batch(self, task: ModelTask, model: nn.Module) -> None:
        together = task.losses(model, self.batch(task, slice(0, 8)))
        alone = [task.losses(model, self.batch(task, slice(i, i + 1))) for i in range(8)]
        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)

    def test_the_metric_is_among_the_metrics(self, task: ModelTask, model: nn.Module) -> None:
        metrics = task.metrics(*self.outputs(task, model, slice(0, 64)))
        assert all(type(value) is float for value in metrics.values())
        assert task.metric in metrics
        sign = 1 if task.mode == MAX else -1
        assert task.mode in (MAX, MIN)
        assert task.score(metrics) == sign * metrics[task.metric]

    def test_a_missing_metric_is_named(self, task: ModelTask) -> None:
        with pytest.raises(MissingMetricError, match=task.metric):
            task.score({"something_else": 1.0})

    def test_metrics_do_not_depend_on_order(self, task: ModelTask, model: nn.Module) -> None:
        outputs, targets = self.outputs(task, model, slice(0, 64))
        order = torch.randperm(len(outputs), generator=torch.Generator().manual_seed(0))
        straight, shuffled = task.metrics(outputs, targets), task.metrics(outputs[order], targets[order])
        assert straight == pytest.approx(shuffled, rel=1e-9)

    def test_the_data_can_be_left_behind(self, task: ModelTask, model: nn.Module) -> None:
        empty = task.without_data()
        assert len(pickle.dumps(empty)) < 100_000
        data = Dataset.from_bulk(task.data.bulk(), task.data.meta())
        again = pickle.loads(pickle.dumps(empty)).with_data(data)  # noqa: S301 -- our own bytes
        assert type(again) is type(task)
        assert again.metric == task.metric
        batch = self.batch(again, slice(0, 4))
        assert torch.equal(again.losses(model, batch), task.losses(model, self.batch(task, slice(0, 4))))
