"""What can be found wrong with a task or a training setting by a look at a few samples."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from safetensors.torch import save
from torch import Tensor

from autotune.errors import (
    CheckpointError,
    ConfigurationError,
    DataError,
    DivergedError,
    MissingMetricError,
    SpaceError,
    unknown,
)
from autotune.space import SearchSpace, tree
from autotune.task import Batch, Classification, ModelTask, Regression, matched
from autotune.training.audition import SAMPLES
from autotune.training.measures import MEASURES
from autotune.training.parts import ModelPart
from autotune.training.room import Room
from autotune.training.settings import TRAINING_NAMES, Settings
from autotune.training.trial import Trial


def check_settings(space: SearchSpace) -> None:
    """Try each option and both ends of each range of every training setting, one by one.

    Raises:
        SpaceError: Which value cannot be.
    """
    for name, key, dimension in space.places():
        for value in dimension.extremes() if name in TRAINING_NAMES else ():
            try:
                Settings.from_config({name: value})
            except ConfigurationError as error:
                advice = "correct it" if space.options(name) else "change its range"
                text = f"parameter {name!r} can be {value!r}: {error}; {advice}"
                raise SpaceError(text, (*tree.path(key), str(value))) from error


def check_targets(room: Room) -> None:
    """Refuse targets that are not of the task's kind.

    Raises:
        DataError: When they are not.
    """
    kind = room.task.data.kind
    if isinstance(room.task, Classification) and kind != "classification":
        raise DataError(
            f"Classification needs integer class ids as targets, this data is {kind}; use Regression"
        )
    if isinstance(room.task, Regression) and kind != "regression":
        raise DataError(f"Regression needs real numbers as targets, this data is {kind}; use Classification")


def check_losses(room: Room, trial: Trial) -> None:
    """Try outputs, losses and metrics on a few samples.

    Raises:
        ConfigurationError: When outputs do not fit the targets, losses are not one per sample, or the metric
            does not exist.
        DivergedError: When a loss is not finite before any training.
    """
    batch = room.samples.batch(room.train[:SAMPLES].to(room.samples.device))
    losses_of = trial.source.collector.losses
    if losses_of is None:
        return
    with torch.no_grad():
        if isinstance(room.task, ModelTask):
            _check_outputs(room.task, trial, batch, room.asked)
        losses = losses_of(trial.model, batch)
        if not isinstance(losses, Tensor) or losses.shape != (len(batch),):
            shape = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ConfigurationError(
                f"loss must give one value per sample, ({len(batch)},), got {shape}; use reduction='none'"
            )
        if not bool(torch.isfinite(losses).all()):
            raise DivergedError(
                f"the losses of an untrained model are {losses.tolist()}; look for NaN or huge values in the "
                "inputs, and scale them"
            )


def check_saves(trial: Trial) -> None:
    """Refuse a model that no checkpoint can hold, before its first rung is paid for.

    Raises:
        ConfigurationError: Naming what cannot be saved.
    """
    try:
        state, _ = ModelPart(trial.model).capture()
    except CheckpointError as error:
        raise ConfigurationError(f"a checkpoint cannot hold the model: {error}") from error
    for name, value in state.items():
        try:
            save({name: value.detach().reshape(-1)[:0].cpu()})
        except Exception as error:  # whatever safetensors or torch raises for a kind that it does not know
            raise ConfigurationError(
                f"a checkpoint cannot hold the model's {name!r}, of {value.dtype} and {value.layout}; make "
                "it a dense tensor of real numbers, or register it as not persistent"
            ) from error


def _check_outputs(task: ModelTask, trial: Trial, batch: Batch, asked: Iterable[str]) -> None:
    outputs = trial.model(batch.inputs)
    if not isinstance(outputs, Tensor):
        raise ConfigurationError(
            f"the model must return one tensor, got {type(outputs).__name__}; wrap it, or write a loop of "
            "your own (at.CustomLoop)"
        )
    if isinstance(task, Classification):
        classes = task.data.classes
        if outputs.dim() != 2 or outputs.shape[1] < classes:
            raise ConfigurationError(
                f"the model must give one logit for each of the {classes} classes, (samples, {classes}), "
                f"got {tuple(outputs.shape)}; change its last layer"
            )
    elif isinstance(task, Regression):
        matched(outputs, batch.targets)
    metrics = task.metrics(outputs, batch.targets)
    try:
        task.score(metrics)
    except MissingMetricError as error:
        raise ConfigurationError(f"metrics() lacks the task's metric: {error}") from error
    for name in asked:
        if name not in metrics and name not in MEASURES:
            raise ConfigurationError(
                f"the plan's objectives or constraints: {unknown('metric', name, (*metrics, *MEASURES))}"
            )
