"""Checkpoints in an object store: saved on this machine first, and brought there while training goes on.

```
<place>/trial-000007/e000002-f0.3500012~18c5…~18c5…/     as in a folder, and the stamp of the upload
    tensors.safetensors  state.json  manifest.json
```
What is saved here and not yet there is in the spool, a store of checkpoints in a scratch folder. It outlives
the process, so that the next one on this machine goes on from it and brings it there; it is lost with the
machine, and so `flush` is called before anybody is told how far a trial is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

from torch import Tensor

from autotune.checkpoint.form import Checkpoints, Place, folder_name, idle, place_of, readable
from autotune.checkpoint.local import CheckpointStore
from autotune.storage.bundles import STAMP, Bundles
from autotune.storage.courier import Courier
from autotune.storage.location import Remote
from autotune.storage.patient import OPENING_S, Patient
from autotune.storage.scratch import scratch
from autotune.storage.store import Store

_PROBE = "probe.txt"


@final
class StoredCheckpoints(Checkpoints):
    """The checkpoints of all trials of a study, in an object store; waits while it is away.

    Args:
        place: Where.
        store: Of that place.
    """

    def __init__(self, place: Remote, store: Store) -> None:
        self.path: Remote = place
        self._store = store
        self._courier = Courier()
        self._lock = threading.Lock()
        self._held: CheckpointStore | None = None
        self._leaving: Place | None = None  # what is on its way

    def folder(self, trial: int) -> Path:
        """Where notes on a trial are kept; they end with the machine, as what they are on does."""
        return self._spool().folder(trial)

    def probe(self) -> None:
        """Write and remove a small object, and see that the spool can be written."""
        store = Patient(self._store, patience_s=OPENING_S)
        store.put(_PROBE, b"")
        store.delete(_PROBE)
        self._spool().probe()

    def save(
        self, trial: int, fidelity: float, tensors: Mapping[str, Tensor], state: Mapping[str, Any], epoch: int
    ) -> Place:
        """Save one checkpoint in the spool, and send it on its way; an older one that waits is not sent."""
        spool = self._spool()
        place = spool.save(trial, fidelity, tensors, state, epoch)
        with self._lock:
            older = [one for one in spool.places(trial) if one.order < place.order]
            spool.discard(one for one in older if one != self._leaving)
        self._courier.send(trial, partial(self._bring, trial, epoch))
        return place

    def flush(self, beat: Callable[[], object] = idle) -> None:
        """Return when the spool is empty."""
        self._courier.flush(beat)

    def places(self, trial: int, beat: Callable[[], object] = idle) -> list[Place]:
        """All checkpoints of a trial, there and in the spool; what an earlier process left there is sent."""
        near, far = self._spool(beat).places(trial), self._far(folder_name(trial), beat)
        if near and (not far or near[0].order[:2] >= far[0].order[:2]):
            self._courier.send(trial, partial(self._bring, trial, near[0].epoch))
        return sorted(near + far, key=lambda place: place.order, reverse=True)

    def files(
        self, place: Place, names: Sequence[str], beat: Callable[[], object] = idle
    ) -> dict[str, bytes] | None:
        """Some files of a checkpoint, from wherever it is."""
        if isinstance(place.path, Path):
            if (near := self._spool(beat).files(place, names)) is not None:
                return near
            far = self._far(place.path.parent.name, beat)
            brought = [one for one in far if one.path.name.startswith(place.path.name + STAMP)]
            if not brought:
                return None
            place = brought[0]  # since it was listed
        bundles, bundle = Bundles(Patient(self._store, beat)), _bundle(place)
        return bundles.contents(bundle, *names) if readable(bundles.manifest(bundle), place.path) else None

    def prune(self, trial: int, before: Place) -> None:
        """Remove what is older than a checkpoint, once that or a later one is there."""
        self._courier.send(("prune", trial), partial(self._remove, trial, before))

    def drop(self, trials: Collection[int]) -> None:
        """Remove everything saved of trials; asks the store twice, however many they are."""
        for trial in trials:
            self._courier.send(trial, idle)
        store, folders = Patient(self._store), {folder_name(trial) for trial in trials}
        there = [name for name in store.names() if name.partition("/")[0] in folders]
        if there:
            store.delete(*there)
        self._spool().drop(trials)

    def _spool(self, beat: Callable[[], object] = idle) -> CheckpointStore:
        if self._held is None:
            self._held = CheckpointStore(scratch(str(self.path), Patient(self._store, beat)))
        return self._held

    def _far(self, folder: str, beat: Callable[[], object] = idle) -> list[Place]:
        """The checkpoints of a trial's folder that are in the store, newest first."""
        bundles = Bundles(Patient(self._store, beat)).complete(folder)
        places = [place_of(self.path / bundle) for bundle in bundles]
        found = [place for place in places if place is not None]
        return sorted(found, key=lambda place: place.order, reverse=True)

    def _bring(self, trial: int, epoch: int) -> None:
        """Bring the newest checkpoint of the spool into the store.

        Raises:
            CheckpointError: When a worker of a later driver has saved this trial.
        """
        spool, far = self._spool(), self._far(folder_name(trial))
        if far:
            far[0].fence(trial, epoch)
        with self._lock:
            self._leaving = place = spool.newest(trial)
        if place is not None:
            name = f"{folder_name(trial)}/{place.path.name}"
            Bundles(Patient(self._store)).upload(Path(str(place.path)), name)
            with self._lock:
                self._leaving = None
                spool.discard(one for one in spool.places(trial) if one.order <= place.order)

    def _remove(self, trial: int, before: Place) -> None:
        """Of what is in the store keep the newest, and what is not older than `before`."""
        store, far = Patient(self._store), self._far(folder_name(trial))
        if not far:
            return
        oldest = min(before.order[:2], far[0].order[:2])
        keep = {_bundle(place) for place in far if place.order[:2] >= oldest}
        folder = folder_name(trial)
        stale = {name.rpartition("/")[0] for name in store.names(folder)} - keep
        own = {
            bundle
            for bundle in stale
            if (place := place_of(self.path / bundle)) and place.epoch <= before.epoch
        }
        Bundles(store).remove(own, folder)


def _bundle(place: Place) -> str:
    """What the checkpoint at a place is called in the store."""
    return f"{place.path.parent.name}/{place.path.name}"
