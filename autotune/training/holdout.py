"""A model that was trained on the target split alone: what it finds hard is not learnt from other data."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

from autotune.checkpoint import CheckpointStore
from autotune.data import Splits
from autotune.errors import DivergedError, HungError, TrialError
from autotune.events import Config
from autotune.ledger import Label
from autotune.policy import settings_of
from autotune.seeds import derive
from autotune.signals import Signal
from autotune.task import ModelTask
from autotune.training import loop
from autotune.training.compare import wearing
from autotune.training.meter import Meter
from autotune.training.parts import Snapshot
from autotune.training.randomness import generator
from autotune.training.room import Room
from autotune.training.rules import EMA
from autotune.training.samples import as_ids
from autotune.training.session import Session
from autotune.training.trial import Trial
from autotune.work import Assignment, Beat

EPOCHS: Final = 30  # over the target split, at most
PATIENCE: Final = 3  # epochs without a lower loss
JUDGED: Final = 0.1  # of the target split, held out to see when to stop
LEAST: Final = 20  # samples in the target split


def reference_losses(room: Room, beat: Beat) -> tuple[Tensor, float]:
    """Losses of the training split under a hold-out model.

    The reference configuration is trained on nine tenths of the target split, until the mean loss of the
    last tenth has not fallen for three epochs, thirty at most; the best of these models is taken.

    Reference: Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and Not
    Yet Learnt", ICML 2022 (the irreducible loss model).

    Args:
        room: Task, data, reference configuration and seed.
        beat: Called whenever it makes progress.

    Returns:
        Losses in the order of the training split, without label smoothing and with nothing else: those with
        any of it lie between. Shape (n, 2), or (n, 1) where the loss is not the task's. And the FLOPs of all.

    Raises:
        TrialError: When that model cannot be trained.
    """
    config, meter = settings_of(room.reference), Meter()
    try:
        return _trained(room, config, meter, beat), meter.ledger().total.flops
    except HungError:
        raise
    except TrialError as error:
        raise TrialError(
            f"the hold-out model, the reference configuration trained on the target split, failed: {error}; "
            "change the middle of the ranges, which makes the reference, or do without reference_loss"
        ) from error


def _trained(room: Room, config: Config, meter: Meter, beat: Beat) -> Tensor:
    task = room.task

    def losses(
        trial: Trial, weights: Mapping[str, Tensor], ids: Tensor, smoothing: float | None = None
    ) -> Tensor:
        meter.charge(Label.SCORE, trial.cost.scoring(len(ids)))
        batches = room.samples.batches(ids, room.rules.eval_batch, beat)
        collector = trial.source.collector
        if smoothing is not None and isinstance(task, ModelTask):
            collector = replace(collector, losses=partial(task.losses, smoothing=smoothing))
        with wearing(trial.model, weights):
            found = collector.collect(batches, frozenset({Signal.LOSS}), beat, len(ids))
        return found[Signal.LOSS]

    splits = _split(room)
    lowest, waited, best = math.inf, 0, None
    for trial in _epochs(replace(room, splits=splits), config, meter, beat):
        loss = losses(trial, trial.judged.weights, as_ids(splits.validation)).mean().item()
        waited += 1
        if loss < lowest:
            lowest, waited = loss, 0
            best = {name: value.clone() for name, value in trial.model.state_dict().items()}
            best |= {name: value.clone() for name, value in trial.judged.weights.items()}
        if waited == PATIENCE:
            break
    if best is None:
        raise DivergedError("its loss is never finite")
    default = isinstance(task, ModelTask) and task.loss is None
    smoothings: tuple[float | None, ...] = (0.0, 1.0) if default else (None,)
    return torch.stack([losses(trial, best, room.train, smoothing) for smoothing in smoothings], 1)


def _epochs(room: Room, config: Config, meter: Meter, beat: Beat) -> Iterator[Trial]:
    """The trial after each epoch; nothing of it is kept on disk."""
    rules = replace(
        room.rules, horizon=float(EPOCHS), compare=EMA, checkpoint_share=1.0, checkpoint_s=math.inf
    )
    seed = derive(room.seed, "hold-out")
    hot: Snapshot | None = None
    with tempfile.TemporaryDirectory(prefix="autotune-hold-out-") as folder:
        stage = replace(room, rules=rules, store=CheckpointStore(folder))
        for epoch in range(EPOCHS):
            assignment = Assignment(epoch, 0, config, seed, epoch, float(epoch), epoch + 1.0)
            session = Session(stage, assignment, beat, meter, hot)
            loop.run(room.task, session)  # its score does not matter: a tenth of few samples may have none
            hot = session.snapshot
            yield session.trial


def _split(room: Room) -> Splits:
    """The target split alone: nine tenths to train on, one to judge by."""
    order = torch.randperm(len(room.target), generator=generator(room.seed, "hold-out split"))
    shuffled = room.target[order].numpy()
    judged = round(JUDGED * len(shuffled))
    nobody = shuffled[:0]
    return Splits(shuffled[judged:], nobody, shuffled[:judged], room.splits.test)
