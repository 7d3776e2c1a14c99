"""What can be found wrong with a task, a training setting or a policy by a look at a few samples."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from autotune.errors import (
    ConfigurationError,
    DataError,
    DivergedError,
    MissingMetricError,
    SelectorError,
    SpaceError,
)
from autotune.policy import Policy
from autotune.signals import Reading, Signal, Signals
from autotune.space import SearchSpace, tree
from autotune.space.checks import POLICY
from autotune.task import Batch, Classification, ModelTask, Regression, matched
from autotune.training import collect
from autotune.training.randomness import generator
from autotune.training.room import Room
from autotune.training.settings import TRAINING_NAMES, Settings
from autotune.training.trial import Trial

SAMPLES: Final = 8  # looked at of each split; enough to see shapes


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
    batch = _some(room, room.train)
    losses_of = trial.collector.losses
    if losses_of is None:
        return
    with torch.no_grad():
        if isinstance(room.task, ModelTask):
            _check_outputs(room.task, trial, batch)
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


def _check_outputs(task: ModelTask, trial: Trial, batch: Batch) -> None:
    outputs = trial.model(batch.inputs)
    if not isinstance(outputs, Tensor):
        raise ConfigurationError(
            f"the model must return one tensor, got {type(outputs).__name__}; wrap it, or bring an own loop"
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
    try:
        task.score(task.metrics(outputs, batch.targets))
    except MissingMetricError as error:
        raise ConfigurationError(f"metrics() lacks the task's metric: {error}") from error


def check_policy(room: Room, trial: Trial, policy: Policy) -> None:
    """Let the policy's selector choose among a few samples.

    Raises:
        SelectorError: When a signal that it needs cannot be given, or is not what it needs.
    """
    if not policy.selects:
        return
    path = (POLICY, policy.name)
    needs = policy.selector.needs
    target = collect.of_target_split(needs)
    if target and len(room.target) == 0:
        raise SelectorError(
            f"policy {policy.name!r} looks at the target split, which is empty; give it a share, "
            "such as Splits.make(..., target=0.05), or take the policy out of the space",
            path,
        )
    if Signal.TARGETS in needs and room.samples.targets.numel() == 0:
        raise SelectorError(f"policy {policy.name!r} needs targets, and the data has none; take it out", path)
    wanted = collect.of_candidates(needs)
    batch = _some(room, room.train)
    readings: dict[Signal, Reading] = {}
    if policy.selector.tolerates_gaps and Signal.LOSS in wanted:
        wanted -= {Signal.LOSS}  # the training passes give it; none has been made yet
        n = len(batch)
        unseen = Reading(torch.zeros(n), torch.full((n,), torch.inf), torch.zeros(n, dtype=torch.bool))
        readings[Signal.LOSS] = unseen
    try:
        for signal, values in _collect(trial, batch, wanted).items():
            readings[signal] = Reading.fresh(values)
        if target:
            for signal, values in _collect(trial, _some(room, room.target), target).items():
                readings[collect.named_for_target_split(signal)] = Reading.fresh(values)
        signals = Signals(batch.ids.cpu(), readings)
        policy.selector.select(signals, policy.budget(signals.n), generator(0, "preflight"))
    except SelectorError as error:
        raise SelectorError(f"policy {policy.name!r}: {error}", path) from error


def _collect(trial: Trial, batch: Batch, signals: frozenset[Signal]) -> dict[Signal, Tensor]:
    if collect.needs_forward(signals):
        return trial.collector.collect([batch], signals, lambda: None)
    return {signal: batch.targets.cpu() for signal in signals}


def _some(room: Room, ids: Tensor) -> Batch:
    return room.samples.batch(ids[:SAMPLES].to(room.samples.device))
