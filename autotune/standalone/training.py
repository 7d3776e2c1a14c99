"""One model, trained on chosen samples beside any study, by the very loop that studies use."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np
from torch import nn

from autotune.data import Dataset, Splits
from autotune.data.columns import Array
from autotune.errors import AutotuneError, ConfigurationError
from autotune.events import Config
from autotune.seeds import derive
from autotune.selection import Selector, selector_name
from autotune.signals import HISTORIES, ONCE, Signal
from autotune.standalone.models import default_model
from autotune.standalone.progress import Progress
from autotune.task import Classification, ModelTask, Regression
from autotune.training import loop
from autotune.training.checks import check_losses, check_targets
from autotune.training.meter import Meter
from autotune.training.modes import evaluating
from autotune.training.probe import probe
from autotune.training.randomness import GlobalGenerators, scope
from autotune.training.room import Room
from autotune.training.rules import TrialRules
from autotune.training.session import Session
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

SAMPLES: Final = 8  # that signals are tried on
_NO_POLICY: Final[Config] = {}
_LAST: Final = math.nextafter(1.0, 0.0)  # a warm-up so long that the trial itself never selects
STEPS: Final = 200  # of an epoch, at least, where batches of 16 samples allow that
SETTINGS: Final[Config] = {"optimizer": "adamw", "lr": 2e-3, "schedule": "linear"}


@final
@dataclass(frozen=True)
class Training:
    """How a model is trained where a selection or an audit needs one.

    Attributes:
        model: Builds the model from a configuration, which holds `settings`, and `shape` and `classes` of
            the data; None takes a small default one for images, tables and token ids.
        epochs: Passes over the samples, above 0.
        settings: Training settings, see `autotune.training.settings`, and whatever the factory reads; they
            are laid over AdamW with a rate of 0.002 that falls to 0, in batches of 128, or fewer of few data.
        device: `auto`, or a torch device such as `cpu` or `cuda:0`.
        seed: Decides the first weights and the order of batches.
    """

    model: Callable[[Config], nn.Module] | None = None
    epochs: float = 5.0
    settings: Config = field(default_factory=dict)
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise ConfigurationError(f"epochs must be a finite number above 0, got {self.epochs}")

    def config(self, data: Dataset) -> dict[str, Any]:
        """The configuration that the factory and the loop are given."""
        own = {"optimizer", "lr", "optimizer.lr"} & self.settings.keys()
        base = {name: value for name, value in SETTINGS.items() if not own or name not in ("optimizer", "lr")}
        base["batch_size"] = min(128, max(16, data.n // STEPS))
        known: dict[str, Any] = {"shape": list(data.inputs.shape[1:])}
        if data.kind == "classification":
            known["classes"] = data.classes
        return {**base, **known, **self.settings}

    def task(self, data: Dataset, rows: Array) -> tuple[ModelTask, str]:
        """The task of this data, and the model in words.

        Targets of a regression are standardised for the default model, whose rate suits no other scale.

        Raises:
            ConfigurationError: When there is nothing to learn, or no default model.
        """
        factory, words = self.model, "the given model"
        if factory is None:
            factory, words = default_model(data, rows)
            words += ", since none was given,"
            if data.kind == "regression":
                data = _standard_targets(data, rows)
        kind = Classification if data.kind == "classification" else Regression
        return kind(
            data=data, model=factory
        ), f"{words} trained for {self.epochs:g} epochs on {len(rows)} samples"


def remembering(selector: Selector) -> Config:
    """A policy by which a trial remembers what the selector needs, and never selects."""
    fields = [f.name for f in dataclasses.fields(selector) if f.init]  # type: ignore[arg-type]  # all are dataclasses
    own = {f"policy.{name}": getattr(selector, name) for name in fields}
    return {"policy": selector_name(selector), "policy.fraction": 0.5, "policy.warmup": _LAST, **own}


@contextmanager
def fitted(
    task: ModelTask,
    splits: Splits,
    training: Training,
    progress: Progress,
    policy: Config = _NO_POLICY,
    signals: Iterable[Signal] = (),
) -> Iterator[Session]:
    """Train a model on the training split; its trial can be asked for signals while the block lasts.

    Args:
        task: With its data.
        splits: Of which only `train` must hold anything.
        training: How.
        progress: Told of every step.
        policy: Whose selector's signals the trial is to remember; it must not select.
        signals: What it will be asked for; what it cannot give is found before the first step.

    Raises:
        ConfigurationError: When the model, its losses or the targets do not fit together.
        DivergedError: When the loss is no longer finite.
    """
    plain = training.config(task.data)
    config, seed, until = {**plain, **policy}, derive(training.seed, "standalone"), training.epochs
    with tempfile.TemporaryDirectory(prefix="autotune-standalone-") as folder:
        rules = TrialRules(
            training.epochs, checkpoint_share=1.0, checkpoint_s=math.inf, device=training.device
        )
        room = TrainingWorkload(task, splits, rules, folder, reference=plain).room(task)
        _check(room, config, frozenset(signals))

        def beat() -> None:
            progress.at("training", min(1.0, session.progress))

        assignment = Assignment(id=-1, trial=-1, config=config, seed=seed, rung=0, since=0.0, until=until)
        session = Session(room, assignment, beat, Meter())
        with scope(session.device):
            GlobalGenerators(session.device).seed(derive(seed, "model"))
            loop.fit(task, session)
        yield session


def _check(room: Room, config: Config, signals: frozenset[Signal]) -> None:
    """Everything that can be found wrong before the first step."""
    check_targets(room)
    try:
        trial = probe(room, config)
        with evaluating(trial.model):
            check_losses(room, trial)
        here = {signal for signal in signals - HISTORIES - ONCE if not signal.of_target_split}
        trial.source.passes(room.train[:SAMPLES], here, lambda: None)
    except AutotuneError:
        raise
    except Exception as error:  # whatever the user's factory raises
        raise ConfigurationError(f"the model cannot be trained: {type(error).__name__}: {error}") from error


def _standard_targets(data: Dataset, rows: Array) -> Dataset:
    seen = data.targets[rows].astype(np.float64)
    spread = np.maximum(seen.std(0), 1e-12)
    return data.with_columns(targets=((data.targets - seen.mean(0)) / spread).astype(np.float32))
