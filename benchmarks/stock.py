"""Stock Ray Tune as a user would write it: OptunaSearch + ASHAScheduler on full data."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.space import Choice, Float, Int, SearchSpace
from autotune.space.dimensions import Dimension, Fixed
from autotune.task import Classification
from autotune.training.flops import forward_flops
from autotune.training.settings import Settings


@dataclass(frozen=True)
class Arrays:
    """The samples that one training reads and the ones that judge it, as tensors."""

    inputs: Tensor
    targets: Tensor
    train: Tensor
    judge: Tensor


@dataclass(frozen=True)
class StockRun:
    """What stock Ray Tune found, and what that cost.

    Attributes:
        config: The best configuration by validation score.
        seconds: Wall-clock of `Tuner.fit`.
        epochs: Reference epoch-equivalents, evaluations included.
        trials: How many configurations were tried.
    """

    config: dict[str, Any]
    seconds: float
    epochs: float
    trials: int


def arrays(task: Classification, train: np.ndarray, judge: np.ndarray) -> Arrays:
    """Tensors that share the data set's memory."""
    inputs, targets = np.asarray(task.data.inputs), np.asarray(task.data.targets)
    return Arrays(
        torch.from_numpy(inputs.copy()),
        torch.from_numpy(targets.astype(np.int64)),
        torch.from_numpy(train),
        torch.from_numpy(judge),
    )


def train_epochs(
    task: Classification, config: Mapping[str, Any], data: Arrays, epochs: int, seed: int
) -> Iterator[nn.Module]:
    """Plain PyTorch: shuffle and step; the model after each epoch."""
    torch.manual_seed(seed)  # what a stock script does; this process trains one model at a time
    settings = Settings.from_config(config)
    model = task.model(config)
    optimizer = settings.optimizer.build(model)
    steps = -(-len(data.train) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: settings.schedule.factor(step / (steps * epochs))
    )
    for _ in range(epochs):
        model.train()
        for batch in data.train[torch.randperm(len(data.train))].split(settings.batch_size):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(task.prepare(data.inputs[batch])), data.targets[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
        yield model


def trained(
    task: Classification, config: Mapping[str, Any], data: Arrays, epochs: int, seed: int
) -> nn.Module:
    """The model after the last epoch."""
    return list(train_epochs(task, config, data, epochs, seed))[-1]


def hits(task: Classification, model: nn.Module, data: Arrays) -> Tensor:
    """Whether each judging sample is classified rightly, shape (n,)."""
    model.eval()
    with torch.no_grad():
        return torch.cat(
            [
                model(task.prepare(data.inputs[batch])).argmax(1) == data.targets[batch]
                for batch in data.judge.split(1024)
            ]
        )


def flops_per_epoch(task: Classification, config: Mapping[str, Any], samples: int) -> float:
    """Forward and backward over `samples` samples of a configuration's model."""
    example = task.prepare(torch.from_numpy(np.asarray(task.data.inputs[:4]).copy()))
    return 3 * forward_flops(task.model(config), example) * samples


def size(task: Classification, space: SearchSpace, config: Mapping[str, Any]) -> float:
    """FLOPs of a configuration's model over those of the reference's."""
    return flops_per_epoch(task, config, 1) / flops_per_epoch(task, space.reference(), 1)


@dataclass(frozen=True)
class DefineByRun:
    """Our space as the function that OptunaSearch takes; a class, since OptunaSearch pickles it."""

    space: SearchSpace

    def __call__(self, trial: Any) -> None:
        """Suggest every parameter that exists on the way."""
        _suggest(trial, self.space.parameters, "")


def _suggest(trial: Any, parameters: Mapping[str, Dimension], prefix: str) -> None:
    for name, dim in parameters.items():
        key = prefix + name
        match dim:
            case Float():
                trial.suggest_float(key, dim.low, dim.high, log=dim.log)
            case Int():
                trial.suggest_int(key, dim.low, dim.high, log=dim.log)
            case Choice():
                option = trial.suggest_categorical(key, list(dim.values))
                _suggest(trial, dim.children(option), f"{key}[{option}].")
            case Fixed():
                pass


def search(
    task: Classification, space: SearchSpace, data: Arrays, epochs: int, trials: int, workers: int, seed: int
) -> StockRun:
    """Run OptunaSearch + ASHAScheduler with `trials` samples of at most `epochs` epochs."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    shared = ray.put((task.without_data(), data))
    reference = flops_per_epoch(task, space.reference(), len(data.train))

    def trainable(keyed: dict[str, Any]) -> None:
        bare, held = ray.get(shared)
        config = space.config_of(keyed)
        for model in train_epochs(bare, config, held, epochs, seed):
            tune.report({"score": hits(bare, model, held).double().mean().item()})

    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=workers,
            search_alg=OptunaSearch(DefineByRun(space), metric="score", mode="max", seed=seed),
            scheduler=ASHAScheduler(max_t=epochs, grace_period=1, reduction_factor=3),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(verbose=0),
    )
    started = time.perf_counter()
    results = tuner.fit()
    seconds = time.perf_counter() - started
    spent = 0.0
    for result in (results[number] for number in range(len(results))):
        ran = (result.metrics or {}).get("training_iteration", 0)
        config = space.config_of(result.config or {})
        own = flops_per_epoch(task, config, len(data.train)) / reference
        spent += ran * own * (1 + len(data.judge) / len(data.train) / 3)
    best = results.get_best_result().config or {}
    return StockRun(space.config_of(best), seconds, spent, len(results))
