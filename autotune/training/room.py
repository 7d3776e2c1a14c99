"""What a worker holds for all trials that it runs one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from autotune.checkpoint import Checkpoints
from autotune.data import Splits
from autotune.evaluation.judges import judges, nested_order
from autotune.events import Config
from autotune.sampling import class_ids
from autotune.signals import ONCE, Signal
from autotune.task import CustomLoop, LossFunction, ModelTask, Task
from autotune.training.parallel.ranks import ALONE, Ranks
from autotune.training.randomness import generator
from autotune.training.rules import TrialRules
from autotune.training.samples import Samples, as_ids
from autotune.training.settings import Settings
from autotune.training.shared import Key, SharedStore


@dataclass(frozen=True)
class Room:
    """Task, data and rules, ready on one device.

    Attributes:
        task: With its data.
        splits: The four splits.
        rules: What holds for every trial.
        samples: The data on the device.
        store: Where checkpoints go.
        epoch: The driver that this worker belongs to.
        shared: What is computed once for all trials.
        reference: The configuration of hold-out models.
        seed: The study's.
        asked: Metrics that the study reads besides the task's own.
        ranks: The processes that train a trial together.
        keys: Of the static signals, once they were asked for: they hash a model.
    """

    task: Task
    splits: Splits
    rules: TrialRules
    samples: Samples
    store: Checkpoints
    epoch: int
    shared: SharedStore
    reference: Config = field(default_factory=dict)
    seed: int = 0
    asked: tuple[str, ...] = ()
    ranks: Ranks = ALONE
    keys: dict[Signal, Key] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def alone(self) -> Room:
        """The same for what this process does by itself."""
        return self if self.ranks is ALONE else replace(self, ranks=ALONE)

    @cached_property
    def train(self) -> Tensor:
        """Ids of the training split, on the CPU."""
        return as_ids(self.splits.train)

    @cached_property
    def target(self) -> Tensor:
        """Ids of the target split, on the CPU."""
        return as_ids(self.splits.target)

    @cached_property
    def validation(self) -> Tensor:
        """Ids of the validation split, on the CPU, in an order of which every beginning is a fair sample."""
        ids = as_ids(self.splits.validation)
        classes = class_ids(self.samples.targets[ids.to(self.samples.device)].cpu())
        groups = None if classes is None else torch.unique(classes, return_inverse=True)[1]
        return ids[nested_order(groups, generator(self.seed, "judges"), len(ids))]

    def judging(self, fidelity: float, test: bool) -> Tensor:
        """Ids of the validation samples that judge at a rung; the test split for the verdict's one read."""
        if test or fidelity >= self.rules.horizon:
            return as_ids(self.splits.test if test else self.splits.validation)
        trained, rules = fidelity * len(self.train), self.rules
        return self.validation[: judges(trained, len(self.validation), rules.eval_share, rules.eval_least)]

    @property
    def head(self) -> str | None:
        """Name of the last linear layer, where the task says so."""
        return self.task.head if isinstance(self.task, ModelTask) else None

    @property
    def static(self) -> frozenset[Signal]:
        """The signals that are the same for all trials, and are computed once."""
        return ONCE | {Signal.FEATURES} if self.task.encoder is not None else ONCE

    def smoothing(self, config: Mapping[str, Any]) -> float:
        """Label smoothing of a configuration's losses."""
        return Settings.from_config(config).label_smoothing if isinstance(self.task, ModelTask) else 0.0

    def losses(self, config: Mapping[str, Any]) -> LossFunction | None:
        """Per-sample losses as they are trained on; None when only the user's own loop knows them."""
        if isinstance(self.task, ModelTask):
            return partial(self.task.losses, smoothing=self.smoothing(config))
        return self.task.loss if isinstance(self.task, CustomLoop) else None
