"""Looking at what a configuration would train, without training it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

from autotune.checkpoint import CheckpointStore
from autotune.errors import TrialError
from autotune.events import Config
from autotune.training import loop
from autotune.training.meter import Meter
from autotune.training.room import Room
from autotune.training.session import Session
from autotune.training.trial import Trial
from autotune.work import Assignment

_NOWHERE: Final = CheckpointStore(Path("/nonexistent/autotune"))  # saving takes a step, and none is made


class _Enough(BaseException):
    """Thrown through a loop at its first step: no `except Exception` of the user's stops it."""


def probe(room: Room, config: Config, seed: int = 0) -> Trial:
    """The trial that a configuration becomes, up to its first step; any loop, our own or the user's.

    Raises:
        TrialError: When the loop never attaches a model.
        Exception: Whatever the user's code raises.
    """

    def enough() -> None:
        raise _Enough

    assignment = Assignment(id=-1, trial=-1, config=config, seed=seed, rung=0, since=0.0, until=math.inf)
    session = Session(replace(room, store=_NOWHERE), assignment, enough, Meter())
    try:
        loop.run(room.task, session)
    except _Enough:
        return session.trial
    raise TrialError("the loop ended without a step; call session.attach, then iterate session.loader")
