"""Everything that can be found wrong with a study before anything is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from autotune.errors import (
    AutotuneError,
    ConfigurationError,
    DataError,
    DivergedError,
    MissingMetricError,
    SelectorError,
    SpaceError,
    TrialError,
)
from autotune.events import Config
from autotune.policy import Policy
from autotune.signals import Reading, Signal, Signals
from autotune.space import SearchSpace
from autotune.task import Batch, Classification, ModelTask, Regression, matched
from autotune.training import collect
from autotune.training.failures import message_of
from autotune.training.modes import evaluating
from autotune.training.probe import probe
from autotune.training.randomness import generator
from autotune.training.room import Room
from autotune.training.settings import TRAINING_NAMES, Settings
from autotune.training.trial import Trial
from autotune.training.watching import check_names, watched
from autotune.training.workload import TrainingWorkload

SAMPLES: Final = 8  # looked at of each split; enough to see shapes
MODELS: Final = 64  # built at most
_DRAWS: Final = 1000  # of configurations, to find one for each option


def check(workload: TrainingWorkload, space: SearchSpace) -> None:
    """Build a model for every option of the space, and try on a few samples what trials will do.

    A model factory may refuse some configurations (those trials fail later) but not all of them.

    Raises:
        ConfigurationError: What cannot work, and what to do about it.
        StorageError: When checkpoints cannot be written.
    """
    read: set[str] = set()
    room = workload.room(watched(workload.task, read))
    room.store.probe()
    workload.splits.check(workload.task.data)
    check_targets(room)
    refused: list[Exception] = []
    configs = list(representatives(space))
    for config in configs:
        _check_settings(space, config, room)
        try:
            trial = probe(room, config)
            with evaluating(trial.model):
                check_losses(room, trial)
                check_policy(room, trial, Policy.from_config(config))
        except DivergedError as error:
            refused.append(error)
        except TrialError as error:
            raise ConfigurationError(str(error)) from error
        except AutotuneError:
            raise
        except Exception as error:
            refused.append(error)
    if len(refused) == len(configs):
        raise ConfigurationError(
            f"none of {len(configs)} configurations can be trained, the first for {message_of(refused[0])}; "
            "mend the model factory, the loss or the space"
        ) from refused[0]
    if isinstance(room.task, ModelTask):  # an own loop reads wherever it likes
        check_names(space, read)


def representatives(space: SearchSpace) -> Iterator[Config]:
    """The reference configuration, and others until each option of each choice was in one of them."""
    missing = {(name, option) for name in space.names() for option in space.options(name)}
    drawing = np.random.default_rng(0)
    found = 0
    for draw in range(_DRAWS):
        config = space.sample(drawing) if draw else space.reference()
        new = missing & {(name, str(value)) for name, value in config.items()}
        if new or not draw:
            missing -= new
            found += 1
            yield config
        if not missing or found == MODELS:
            return


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
    needs = policy.selector.needs
    target = collect.of_target_split(needs)
    if target and len(room.target) == 0:
        raise SelectorError(
            f"policy {policy.name!r} looks at the target split, which is empty; give it a share, "
            "such as Splits.make(..., target=0.05), or take the policy out of the space"
        )
    if Signal.TARGETS in needs and room.samples.targets.numel() == 0:
        raise SelectorError(f"policy {policy.name!r} needs targets, and the data has none; take it out")
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
        raise SelectorError(f"policy {policy.name!r}: {error}") from error


def _collect(trial: Trial, batch: Batch, signals: frozenset[Signal]) -> dict[Signal, Tensor]:
    if collect.needs_forward(signals):
        return trial.collector.collect([batch], signals, lambda: None)
    return {signal: batch.targets.cpu() for signal in signals}


def _check_settings(space: SearchSpace, config: Config, room: Room) -> None:
    """Try both ends of the range of each training setting."""
    if not isinstance(room.task, ModelTask):
        return
    for name, _, dimension in space.places():
        if name in TRAINING_NAMES and name in config:
            for value in dimension.extremes() if not space.options(name) else (config[name],):
                _try_settings(name, {**config, name: value})


def _try_settings(name: str, config: dict[str, Any]) -> None:
    try:
        Settings.from_config(config)
    except ConfigurationError as error:
        raise SpaceError(f"parameter {name!r} can be {config[name]!r}: {error}; change its range") from error


def _some(room: Room, ids: Tensor) -> Batch:
    return room.samples.batch(ids[:SAMPLES].to(room.samples.device))
