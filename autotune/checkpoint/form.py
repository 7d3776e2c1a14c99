"""What a trial is saved as, wherever it is kept: tensors and JSON, complete or absent, and never code."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors
from safetensors.torch import load as tensors_from_bytes
from torch import Tensor

from autotune.errors import CheckpointError
from autotune.storage.location import Location

FORMAT: Final = 1
TENSORS: Final = "tensors.safetensors"
STATE: Final = "state.json"
_NAME: Final = re.compile(r"e(\d{6,})-f([^~]+)(~.*)?")


@dataclass(frozen=True)
class Place:
    """Where and when a checkpoint was taken; places sort oldest first.

    Attributes:
        epoch: The driver that the worker belonged to; a later driver has a higher one.
        fidelity: The trial's own epoch-equivalents.
        path: Its folder.
    """

    epoch: int
    fidelity: float
    path: Location

    @property
    def order(self) -> tuple[int, float, str]:
        """What places are sorted by; of the same time those saved last come last."""
        return self.epoch, self.fidelity, self.path.name

    def fence(self, trial: int, epoch: int) -> None:
        """Stop a worker whose driver was replaced, this being the newest place.

        Raises:
            CheckpointError: When it was.
        """
        if self.epoch > epoch:
            raise CheckpointError(
                f"trial {trial} now belongs to driver {self.epoch}; this worker of driver {epoch} stops"
            )


@dataclass(frozen=True)
class Checkpoint:
    """A trial as it was saved.

    Attributes:
        trial: The trial's number.
        fidelity: Its own epoch-equivalents.
        epoch: The driver that its worker belonged to.
        tensors: On the CPU.
        state: JSON.
    """

    trial: int
    fidelity: float
    epoch: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def idle() -> None:
    """Nobody has to hear that we wait."""


class Checkpoints(ABC):
    """The checkpoints of all trials of a study.

    Attributes:
        path: Where they are.
    """

    path: Location

    @abstractmethod
    def folder(self, trial: int) -> Path:
        """Where notes on a trial are kept, on this machine."""

    @abstractmethod
    def probe(self) -> None:
        """Find out whether anything can be saved, before anything is spent.

        Raises:
            StorageError: When nothing can.
        """

    @abstractmethod
    def save(
        self, trial: int, fidelity: float, tensors: Mapping[str, Tensor], state: Mapping[str, Any], epoch: int
    ) -> Place:
        """Save one checkpoint; when this returns it survives the end of this process, see also `flush`.

        Args:
            trial: The trial's number.
            fidelity: Its own epoch-equivalents.
            tensors: Contiguous, none sharing memory with another.
            state: JSON.
            epoch: The driver this worker belongs to.

        Raises:
            CheckpointError: When a worker of a later driver has already saved this trial.
            StorageError: When it cannot be written.
        """

    @abstractmethod
    def flush(self, beat: Callable[[], object] = idle) -> None:
        """Return when what was saved survives the end of this machine, if the place does.

        Args:
            beat: Called while waiting.

        Raises:
            CheckpointError, StorageError: As `save`, of what was done since it returned.
        """

    @abstractmethod
    def places(self, trial: int, beat: Callable[[], object] = idle) -> list[Place]:
        """All checkpoints of a trial, newest first, without reading them."""

    @abstractmethod
    def files(
        self, place: Place, names: Sequence[str], beat: Callable[[], object] = idle
    ) -> dict[str, bytes] | None:
        """Some files of a checkpoint; None when one of them is not what was written.

        Raises:
            CheckpointError: When it was written by a newer autotune.
        """

    @abstractmethod
    def prune(self, trial: int, before: Place) -> None:
        """Remove what is older than a checkpoint, and what unfinished writes have left."""

    @abstractmethod
    def drop(self, trials: Collection[int]) -> None:
        """Remove everything saved of trials that will not go on."""

    def newest(self, trial: int, beat: Callable[[], object] = idle) -> Place | None:
        """Where the newest checkpoint is, without reading it."""
        return next(iter(self.places(trial, beat)), None)

    def latest(self, trial: int, beat: Callable[[], object] = idle) -> Checkpoint | None:
        """The newest complete checkpoint; incomplete and damaged ones are passed over.

        Raises:
            CheckpointError: When it was written by a newer autotune.
        """
        found = (self._read(place, trial, beat) for place in self.places(trial, beat))
        return next((checkpoint for checkpoint in found if checkpoint is not None), None)

    def state(self, trial: int) -> Mapping[str, Any] | None:
        """The state of the newest complete checkpoint, without its tensors, which are not looked at.

        Raises:
            CheckpointError: When it was written by a newer autotune.
        """
        found = (self.files(place, [STATE]) for place in self.places(trial))
        return next((json.loads(files[STATE]) for files in found if files is not None), None)

    def _read(self, place: Place, trial: int, beat: Callable[[], object]) -> Checkpoint | None:
        """The checkpoint at a place; None when anything about it is wrong."""
        files = self.files(place, [TENSORS, STATE], beat)
        if files is None:
            return None
        try:
            tensors, state = tensors_from_bytes(files[TENSORS]), json.loads(files[STATE])
        except (safetensors.SafetensorError, ValueError):
            return None
        return Checkpoint(trial, place.fidelity, place.epoch, tensors, state)


def folder_name(trial: int) -> str:
    """What a trial's folder is called."""
    return f"trial-{trial:06d}"


def place_of(path: Location) -> Place | None:
    """The place of a checkpoint by its name; None when it is none."""
    match = _NAME.fullmatch(path.name)
    try:
        return None if match is None else Place(int(match[1]), float(match[2]), path)
    except ValueError:
        return None


def readable(facts: Mapping[str, Any] | None, path: Location) -> bool:
    """Whether a manifest is one of a checkpoint's.

    Raises:
        CheckpointError: When it was written by a newer autotune.
    """
    if facts is None or not isinstance(facts.get("format"), int):
        return False
    if facts["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {facts['format']}, this autotune reads up to {FORMAT}; upgrade"
        )
    return True
