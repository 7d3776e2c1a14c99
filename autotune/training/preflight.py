"""Everything that can be found wrong with a study before anything is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from autotune.errors import (
    AutotuneError,
    ConfigurationError,
    DivergedError,
    HungError,
    TrialError,
)
from autotune.events import Config
from autotune.policy import Policy
from autotune.space import SearchSpace
from autotune.task import CustomLoop, ModelTask
from autotune.training.audition import check_policy
from autotune.training.checks import check_losses, check_saves, check_settings, check_targets
from autotune.training.failures import message_of
from autotune.training.modes import evaluating
from autotune.training.probe import probe, rehearse
from autotune.training.room import Room
from autotune.training.settings import SESSION_NAMES
from autotune.training.watching import Watched, check_names
from autotune.training.workload import TrainingWorkload
from autotune.work import Beat

MODELS: Final = 64  # built at most
_DRAWS: Final = 1000  # of configurations, to find one for each option
_ADVICE: Final = {
    False: "read it in the model factory, or take it out",
    True: "read it by the end of the loop's first step, or take it out",
}


def check(workload: TrainingWorkload, space: SearchSpace, beat: Beat = lambda: None) -> None:
    """Build a model for every option of the space, and try on a few samples what trials will do.

    A model factory may refuse some configurations (those trials fail later) but not all of them. A loop of
    the user's own is rehearsed: one step, an evaluation, a report.

    Args:
        workload: What is to be trained.
        space: What is searched.
        beat: Called whenever a configuration was tried.

    Raises:
        ConfigurationError: What cannot work, and what to do about it; with file, line and column where it is
            about a parameter of a space that was read from YAML.
        StorageError: When checkpoints cannot be written.
    """
    room = workload.room(workload.task)
    room.store.probe()
    workload.splits.check(workload.task.data)
    check_targets(room)
    offered: set[str] = set()
    read: set[str] = set(SESSION_NAMES)
    refused: list[Exception] = []
    with space.pointing():
        if isinstance(room.task, ModelTask):
            check_settings(space)
        for config in (configs := list(representatives(space))):
            shown = Watched(config)
            try:
                _try(room, config, shown, beat)
                offered |= config.keys()
            except AutotuneError as error:
                if not isinstance(error, DivergedError):
                    raise
                refused.append(error)
            except Exception as error:
                refused.append(error)
            read |= shown.read
            beat()
        if len(refused) == len(configs):
            raise ConfigurationError(
                f"{len(configs)} of {len(configs)} configurations that were tried cannot be trained; the "
                f"reference, {dict(configs[0])}, for {message_of(refused[0])}; fix the task, or the middles "
                "of the ranges and the first options, which make the reference"
            ) from refused[0]
        check_names(space, offered, read, _ADVICE[isinstance(room.task, CustomLoop)])


def _try(room: Room, config: Config, shown: Config, beat: Beat) -> None:
    """One configuration.

    Raises:
        ConfigurationError: What cannot work in any.
        Exception: What may be this one's own fault.
    """
    try:
        trial = probe(room, config, shown)
        with evaluating(trial.model):
            check_losses(room, trial)
            check_saves(trial)
            check_policy(room, trial, Policy.from_config(config))
        if isinstance(room.task, CustomLoop):
            rehearse(room, config, shown, beat)
    except DivergedError:
        raise
    except HungError as error:
        raise ConfigurationError(f"a trial of {dict(config)} would hang: {message_of(error)}") from error
    except TrialError as error:
        raise ConfigurationError(str(error)) from error


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
