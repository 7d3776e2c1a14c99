"""Looking at what a configuration would train before anything is spent on it."""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from autotune.checkpoint import CheckpointStore
from autotune.data import Splits
from autotune.data.splits import Ids
from autotune.errors import TrialError
from autotune.events import Config
from autotune.policy import settings_of
from autotune.task import ModelTask
from autotune.training import loop
from autotune.training.meter import Meter
from autotune.training.room import Room
from autotune.training.session import Session
from autotune.training.step import Step
from autotune.training.trial import Trial
from autotune.work import Assignment, Beat

FEW: Final = 256  # samples of each split that a rehearsal sees; enough for a batch and for any metric
_NOWHERE: Final = CheckpointStore(Path("/nonexistent/autotune"))  # saving takes a step, and none is made


class _Enough(BaseException):
    """Thrown through a loop at its first step: no `except Exception` of the user's stops it."""


def probe(room: Room, config: Config, shown: Config | None = None, seed: int = 0) -> Trial:
    """The trial that a configuration becomes, up to its first step; any loop, our own or the user's.

    Args:
        room: Task, data and rules.
        config: What is tried.
        shown: What the loop gets to see of it; all of it when None.
        seed: The trial's.

    Raises:
        TrialError: When the loop never attaches a model.
        Exception: Whatever the user's code raises.
    """

    def enough() -> None:
        raise _Enough

    assignment = _assignment(config, math.inf, seed)
    session = Session(replace(room.alone, store=_NOWHERE), assignment, enough, Meter(), shown=shown)
    try:
        loop.run(room.task, session)
    except _Enough:
        return session.trial
    raise TrialError("the loop ended without a step; call session.attach, then iterate session.loader")


def first_step(room: Room, task: ModelTask, seed: int) -> Step:
    """The first step of a trial of the reference configuration on all data, ready to be made.

    Args:
        room: Task, data and rules.
        task: The room's.
        seed: The trial's.

    Raises:
        Exception: Whatever the user's code raises.
    """
    assignment = _assignment(settings_of(room.reference), math.inf, seed)
    steps = loop.fitting(task, Session(replace(room, store=_NOWHERE), assignment, lambda: None, Meter()))
    try:
        return next(steps)
    finally:
        steps.close()


def rehearse(room: Room, config: Config, shown: Config, beat: Beat, seed: int = 0) -> None:
    """Run a loop to its end on a few samples: one step, an evaluation, a report; nothing is kept.

    Args:
        room: Task, data and rules.
        config: What is tried; not its policy, which decides only which samples a loop is given.
        shown: What the loop gets to see of it.
        beat: Called whenever it makes progress.
        seed: The trial's.

    Raises:
        TrialError: When the loop stops early, or does not report the task's metric.
        Exception: Whatever the user's code raises.
    """
    plain = settings_of(config)
    splits = room.splits
    few = Splits(_spread(splits.train), _spread(splits.target), _spread(splits.validation), splits.test)
    with tempfile.TemporaryDirectory(prefix="autotune-rehearsal-") as folder:
        stage = replace(room, splits=few, store=CheckpointStore(folder))
        assignment = _assignment(plain, sys.float_info.min, seed)
        loop.scored(room.task, Session(stage, assignment, beat, Meter(), shown=shown))


def _assignment(config: Config, until: float, seed: int) -> Assignment:
    return Assignment(id=-1, trial=-1, config=config, seed=seed, rung=0, since=0.0, until=until)


def _spread(ids: Ids) -> Ids:
    """A few ids from the first to the last, for data may be sorted by class."""
    return ids[:: -(-len(ids) // FEW) or 1]
