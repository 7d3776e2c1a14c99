"""What is computed once for all trials, and for later studies that look in the same folder.

```
<path>/features-3f2a…/values.safetensors  manifest.json
<path>/features-3f2a….lock
```
Its name is a hash of everything that it was made from, so nothing is ever out of date. In an object
store there is the same, and each machine keeps what it has read in a scratch folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from autotune.errors import StorageError
from autotune.folders import HASHES, alone, contents, manifest, publish, storage
from autotune.storage.bundles import Bundles
from autotune.storage.location import Remote, locate
from autotune.storage.opening import store_at
from autotune.storage.patient import OPENING_S, Patient
from autotune.storage.scratch import scratch

FORMAT: Final = 1
_VALUES: Final = "values.safetensors"


@dataclass(frozen=True)
class Key:
    """What values are made from.

    Attributes:
        kind: A word.
        facts: JSON; all that decides the values.
    """

    kind: str
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The same for the same facts."""
        text = json.dumps(self.facts, sort_keys=True)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class Entry:
    """Values, and what they took.

    Attributes:
        values: On the CPU.
        flops: That were spent on them.
        owner: Whose account these are in.
    """

    values: Tensor
    flops: float
    owner: str


@final
class SharedStore:
    """Values by what they are made from; this process keeps what it has read.

    Args:
        path: The folder; made when the first values are written.
    """

    def __init__(self, path: str | Path | Remote) -> None:
        self.place = locate(path)
        self._held: dict[str, Entry] = {}

    @cached_property
    def path(self) -> Path:
        """The folder on this machine."""
        if isinstance(self.place, Path):
            return self.place
        return scratch(str(self.place), Patient(store_at(self.place)))

    def get(
        self,
        key: Key,
        owner: str,
        make: Callable[[], tuple[Tensor, float]],
        beat: Callable[[], object] = lambda: None,
        least: int = 0,
    ) -> Entry:
        """The values, which are made if nobody has; of several workers of a node one does, and others wait.

        Where the file system keeps no locks, and on several nodes, more than one may make them, with the same
        outcome. While an object store is away they are made here, and others have to make them, too.

        Args:
            key: What they are made from.
            owner: Who asks, and is charged if they have to be made.
            make: Gives values, and the FLOPs that it took to make them.
            beat: Called while waiting.
            least: Rows that are wanted; values with fewer are replaced.

        Raises:
            StorageError: When they cannot be written.
        """
        held = self._held.get(key.name)
        if held is None or len(held.values) < least:
            held = self._read(key, least) or self._made(key, owner, make, beat, least)
            self._held[key.name] = held
        return held

    def _made(
        self,
        key: Key,
        owner: str,
        make: Callable[[], tuple[Tensor, float]],
        beat: Callable[[], object],
        least: int,
    ) -> Entry:
        with storage("write to", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with alone(self.path / f"{key.name}.lock", beat):
            if (entry := self._read(key, least) or self._fetched(key, least, beat)) is not None:
                return entry
            values, flops = make()
            facts = {"format": FORMAT, "made_from": key.facts, "flops": flops, "owner": owner}
            with storage("write to", self.path):
                publish(self.path / key.name, {_VALUES: save({"values": values.contiguous()})}, facts)
            self._bring(key, beat)
        return Entry(values, flops, owner)

    def _fetched(self, key: Key, least: int, beat: Callable[[], object]) -> Entry | None:
        """What another machine has brought into the object store, from now on also here."""
        if isinstance(self.place, Path):
            return None
        bundles = Bundles(Patient(store_at(self.place), beat, OPENING_S))
        try:
            bundle = bundles.newest(key.name)
            facts = None if bundle is None else bundles.manifest(bundle)
            files = None if bundle is None else bundles.contents(bundle, _VALUES)
        except StorageError:
            return None
        if files is None or facts is None:
            return None
        with storage("write to", self.path):
            publish(
                self.path / key.name, files, {name: fact for name, fact in facts.items() if name != HASHES}
            )
        return self._read(key, least)

    def _bring(self, key: Key, beat: Callable[[], object]) -> None:
        if isinstance(self.place, Path):
            return
        with contextlib.suppress(StorageError):  # it can be made again
            bundles = Bundles(Patient(store_at(self.place), beat, OPENING_S))
            bundles.upload(self.path / key.name, key.name)

    def _read(self, key: Key, least: int) -> Entry | None:
        """What is there; None when it is not, or too little, or is damaged, or of another format."""
        facts = manifest(self.path / key.name)
        if facts is None or facts.get("format") != FORMAT:
            return None
        files = contents(self.path / key.name, _VALUES)
        if files is None:
            return None
        try:
            entry = Entry(load(files[_VALUES])["values"], float(facts["flops"]), str(facts["owner"]))
        except (safetensors.SafetensorError, KeyError, ValueError):
            return None
        return entry if len(entry.values) >= least else None
