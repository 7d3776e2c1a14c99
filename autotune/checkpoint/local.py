"""Checkpoints in a folder.

```
<path>/trial-000007/e000002-f0.3500012~18c5…/     epoch 2, fidelity 0.3500012, and a stamp
    tensors.safetensors  state.json  manifest.json
```
A reader sees all of a checkpoint or nothing, and notices what was damaged later: see `autotune.folders`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from autotune.checkpoint.form import (
    FORMAT,
    STATE,
    TENSORS,
    Checkpoints,
    Place,
    folder_name,
    idle,
    place_of,
    readable,
)
from autotune.folders import ABANDONED_S, contents, manifest, partial, publish, storage, sweep
from autotune.storage.bundles import stamped


@final
class CheckpointStore(Checkpoints):
    """The checkpoints of all trials of a study, in one folder.

    Args:
        path: The folder; made when the first checkpoint is saved.
    """

    def __init__(self, path: str | Path) -> None:
        self.path: Path = Path(path)

    def folder(self, trial: int) -> Path:
        """Where a trial's checkpoints are, and notes on it."""
        return self.path / folder_name(trial)

    def probe(self) -> None:
        """Write and remove an empty file."""
        with storage("write to", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            probe = partial(self.path)
            probe.touch()
            probe.unlink()

    def save(
        self, trial: int, fidelity: float, tensors: Mapping[str, Tensor], state: Mapping[str, Any], epoch: int
    ) -> Place:
        """Save one checkpoint; when this returns it survives a crash of the machine."""
        folder = self.folder(trial)
        with storage("save a checkpoint in", folder):
            newest = self.newest(trial)
            if newest is not None:
                newest.fence(trial, epoch)
            target = folder / stamped(f"e{epoch:06d}-f{fidelity!r}")
            files = {TENSORS: tensors_to_bytes(dict(tensors)), STATE: json.dumps(state).encode()}
            facts = {"format": FORMAT, "trial": trial, "fidelity": fidelity, "epoch": epoch}
            publish(target, files, facts)
        return Place(epoch, fidelity, target)

    def flush(self, beat: Callable[[], object] = idle) -> None:
        """Nothing is left to do."""

    def places(self, trial: int, beat: Callable[[], object] = idle) -> list[Place]:
        """All checkpoints of a trial, newest first."""
        try:
            paths = list(self.folder(trial).iterdir())
        except OSError:
            return []
        places = [place for path in paths if (place := place_of(path)) is not None]
        return sorted(places, key=lambda place: place.order, reverse=True)

    def files(
        self, place: Place, names: Sequence[str], beat: Callable[[], object] = idle
    ) -> dict[str, bytes] | None:
        """Some files of a checkpoint."""
        path = Path(str(place.path))
        return contents(path, *names) if readable(manifest(path), path) else None

    def prune(self, trial: int, before: Place) -> None:
        """Remove what is older than a checkpoint, and what unfinished writes have left long ago."""
        self.discard(place for place in self.places(trial) if place.order < before.order)
        sweep(self.folder(trial), ABANDONED_S)

    def discard(self, places: Iterable[Place]) -> None:
        """Remove some checkpoints."""
        for place in places:
            shutil.rmtree(str(place.path), ignore_errors=True)

    def drop(self, trials: Collection[int]) -> None:
        """Remove everything saved of trials, and all notes on them."""
        for trial in trials:
            shutil.rmtree(self.folder(trial), ignore_errors=True)
