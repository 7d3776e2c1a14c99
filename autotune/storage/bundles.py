"""Groups of files in a store that are there whole or not at all, as `autotune.folders` has them on a disk.

```
<bundle>~<stamp>/  tensors.safetensors  state.json  manifest.json
```
Nothing is ever overwritten: each upload has a stamp of its own, and its manifest, which holds the hash of
each file, is written last. Without a manifest there is no bundle, so an upload may end anywhere.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, final

from autotune.folders import HASHES, MANIFEST, manifest
from autotune.storage.store import Store

STAMP: Final = "~"


@final
class Bundles:
    """The bundles of a store.

    Args:
        store: Asked for every read and write.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def upload(self, folder: Path, name: str) -> str | None:
        """Copy a folder that `autotune.folders.publish` made, as the newest bundle of that name.

        Returns:
            What it is called; None when the folder is gone or damaged.

        Raises:
            StorageError: When the store does not take it.
        """
        facts = manifest(folder)
        if facts is None:
            return None
        bundle = stamped(name)
        try:
            for file in facts[HASHES]:
                self.store.put(f"{bundle}/{file}", folder / file)
        except FileNotFoundError:  # replaced meanwhile by a newer one
            return None
        self.store.put(f"{bundle}/{MANIFEST}", json.dumps(facts).encode())
        return bundle

    def complete(self, under: str) -> list[str]:
        """The bundles in a folder that have a manifest; those of a name oldest first."""
        return [name.removesuffix(f"/{MANIFEST}") for name in self.store.names(under) if _is_manifest(name)]

    def newest(self, name: str) -> str | None:
        """The newest bundle of a name."""
        folder = name.rpartition("/")[0]
        ours = [one for one in self.complete(folder) if one.rpartition(STAMP)[0] == name]
        return ours[-1] if ours else None

    def manifest(self, bundle: str) -> dict[str, Any] | None:
        """The facts of a bundle; None when it has none."""
        try:
            facts = json.loads(self.store.get(f"{bundle}/{MANIFEST}") or b"")
        except ValueError:
            return None
        return facts if isinstance(facts, dict) and isinstance(facts.get(HASHES), dict) else None

    def contents(self, bundle: str, *files: str) -> dict[str, bytes] | None:
        """Some files of a bundle; None when one of them is not what was written."""
        facts = self.manifest(bundle)
        if facts is None:
            return None
        read = {file: self.store.get(f"{bundle}/{file}") for file in files}
        found = {file: content for file, content in read.items() if content is not None}
        hashes = {file: hashlib.sha256(content).hexdigest() for file, content in found.items()}
        return found if all(hashes.get(file) == facts[HASHES].get(file, "") for file in files) else None

    def remove(self, bundles: Iterable[str], under: str) -> None:
        """Remove bundles of a folder, complete or not, their manifests first."""
        doomed = tuple(f"{bundle}/" for bundle in bundles)
        names = [name for name in self.store.names(under) if name.startswith(doomed)]
        self.store.delete(*(name for name in names if _is_manifest(name)))
        self.store.delete(*(name for name in names if not _is_manifest(name)))


def stamped(name: str) -> str:
    """A name of which there is no other; those of a name sort in the order in which they were given."""
    return f"{name}{STAMP}{time.time_ns():016x}{uuid.uuid4().hex[:4]}"


def _is_manifest(name: str) -> bool:
    return name.endswith(f"/{MANIFEST}")
