"""What a trial is saved as: tensors and JSON, complete or absent, and never code.

```
<path>/trial-000007/e000002-f0.3500012/     epoch 2, fidelity 0.3500012
    tensors.safetensors  state.json  manifest.json
```
A reader sees all of a checkpoint or nothing, and notices what was damaged later: see `autotune.folders`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import safetensors
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from autotune.errors import CheckpointError
from autotune.folders import contents, manifest, partial, publish, storage, sweep

FORMAT: Final = 1
TENSORS: Final = "tensors.safetensors"
STATE: Final = "state.json"
_NAME: Final = re.compile(r"e(\d{6,})-f(.+)")


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
    path: Path


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


@final
class CheckpointStore:
    """The checkpoints of all trials of a study, in one folder.

    Args:
        path: The folder; made when the first checkpoint is saved.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def folder(self, trial: int) -> Path:
        """Where a trial's checkpoints are."""
        return self.path / f"trial-{trial:06d}"

    def probe(self) -> None:
        """Write and remove an empty file, so that a bad path is found before anything is spent.

        Raises:
            StorageError: When the path cannot be written.
        """
        with storage("write to", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            probe = partial(self.path)
            probe.touch()
            probe.unlink()

    def save(
        self, trial: int, fidelity: float, tensors: Mapping[str, Tensor], state: Mapping[str, Any], epoch: int
    ) -> Place:
        """Save one checkpoint; when this returns it survives a crash of the machine.

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
        folder = self.folder(trial)
        with storage("save a checkpoint in", folder):
            newest = self.newest(trial)
            if newest is not None and newest.epoch > epoch:
                raise CheckpointError(
                    f"trial {trial} now belongs to driver {newest.epoch}; this worker of driver {epoch} stops"
                )
            target = folder / f"e{epoch:06d}-f{fidelity!r}"
            files = {TENSORS: tensors_to_bytes(dict(tensors)), STATE: json.dumps(state).encode()}
            facts = {"format": FORMAT, "trial": trial, "fidelity": fidelity, "epoch": epoch}
            publish(target, files, facts)
        return Place(epoch, fidelity, target)

    def newest(self, trial: int) -> Place | None:
        """Where the newest checkpoint is, without reading it."""
        return next(iter(self._places(trial)), None)

    def latest(self, trial: int) -> Checkpoint | None:
        """The newest complete checkpoint; incomplete and damaged ones are passed over.

        Raises:
            CheckpointError: When it was written by a newer autotune.
        """
        found = (_read(place, trial) for place in self._places(trial))
        return next((checkpoint for checkpoint in found if checkpoint is not None), None)

    def state(self, trial: int) -> Mapping[str, Any] | None:
        """The state of the newest complete checkpoint, without its tensors, which are not looked at.

        Raises:
            CheckpointError: When it was written by a newer autotune.
        """
        found = (_files(place, STATE) for place in self._places(trial))
        return next((json.loads(files[STATE]) for files in found if files is not None), None)

    def prune(self, trial: int, keep: int = 1) -> None:
        """Remove all but the newest `keep` checkpoints, and what unfinished writes have left."""
        for place in self._places(trial)[keep:]:
            shutil.rmtree(place.path, ignore_errors=True)
        sweep(self.folder(trial))

    def drop(self, trial: int) -> None:
        """Remove everything saved of a trial that will not go on."""
        shutil.rmtree(self.folder(trial), ignore_errors=True)

    def _places(self, trial: int) -> list[Place]:
        """All checkpoints of a trial, newest first."""
        try:
            paths = list(self.folder(trial).iterdir())
        except OSError:
            return []
        places = [place for path in paths if (place := _place(path)) is not None]
        return sorted(places, key=lambda place: (place.epoch, place.fidelity), reverse=True)


def _place(path: Path) -> Place | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        return Place(int(match[1]), float(match[2]), path)
    except ValueError:
        return None


def _read(place: Place, trial: int) -> Checkpoint | None:
    """The checkpoint at a place; None when anything about it is wrong."""
    files = _files(place, TENSORS, STATE)
    if files is None:
        return None
    try:
        tensors = tensors_from_bytes(files[TENSORS])
    except safetensors.SafetensorError:
        return None
    return Checkpoint(trial, place.fidelity, place.epoch, tensors, json.loads(files[STATE]))


def _files(place: Place, *names: str) -> dict[str, bytes] | None:
    """Some files of the checkpoint at a place; None when one of them is not what was written."""
    facts = manifest(place.path)
    if facts is None or not isinstance(facts.get("format"), int):
        return None
    if facts["format"] > FORMAT:
        raise CheckpointError(
            f"{place.path} has format {facts['format']}, this autotune reads up to {FORMAT}; upgrade"
        )
    return contents(place.path, *names)
