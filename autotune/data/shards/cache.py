"""Arrays on a node's own disk that its processes share: whole or absent, least recently used out.

```
<folder>/rows/3f2a….npy  groups/77c0….npy    mapped read-only by whoever reads them
<folder>/rows/3f2a….lock                     held by the one process that makes it; others wait
```
A file's time is when it was last opened. One that is removed while it is mapped stays readable there.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from autotune.data.columns import Array
from autotune.errors import DataError
from autotune.folders import ABANDONED_S, alone, replacing, storage
from autotune.storage.scratch import private

GIB: Final = 1 << 30
WINDOWS: Final = 4  # that half the cache has room for: those of as many trials at once
REMEDY: Final = "give a cache folder with more room, or a smaller cache_gib"


@final
@dataclass(frozen=True)
class Limits:
    """What reading a large data set may take of a node.

    Attributes:
        cache_gib: Of its disk, by all processes and all such data sets of a user together; what is being
            written or still mapped comes on top. Above 0.
        memory_gib: Of memory, for the rows that one read asks for. Above 0.
        folder: The cache; a disk of the node itself. None takes one in TMPDIR that only the user may open.
    """

    cache_gib: float = 8.0
    memory_gib: float = 1.0
    folder: str | Path | None = None

    def __post_init__(self) -> None:
        for name in ("cache_gib", "memory_gib"):
            if not 0 < getattr(self, name) < math.inf:
                raise DataError(f"{name} must be finite and above 0, got {getattr(self, name)}; try 8")

    @property
    def half(self) -> int:
        """Bytes for row groups, and as many for chosen rows: neither drives the other out."""
        return int(self.cache_gib * GIB) // 2

    @property
    def groups(self) -> Cache:
        """Row groups that are kept decoded."""
        return Cache(self._folder / "groups", self.half)

    @property
    def rows(self) -> Cache:
        """Rows that were chosen, packed together."""
        return Cache(self._folder / "rows", self.half)

    @property
    def window(self) -> int:
        """Bytes of rows that are packed together at most."""
        return self.half // WINDOWS

    @property
    def _folder(self) -> Path:
        return private() / "shards" if self.folder is None else Path(self.folder)


@final
@dataclass(frozen=True)
class Cache:
    """A folder of arrays by name.

    Attributes:
        folder: Made when absent.
        limit: Bytes.
    """

    folder: Path
    limit: int

    def get(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        make: Callable[[], Iterable[Array]],
        beat: Callable[[], object] = lambda: None,
    ) -> Array:
        """An array, mapped read-only, which is made if nobody has.

        Args:
            name: Of what it is made from: the same array under the same name, always.
            shape: Of the array.
            dtype: Of the array.
            make: Gives its rows in blocks.
            beat: Called while another process makes it.

        Raises:
            StorageError: When the folder cannot be written.
        """
        path = self.folder / f"{name}.npy"
        if (found := _mapped(path)) is not None:
            return found
        with storage("make", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = self.folder / f"{name}.lock"
        with alone(lock, beat):
            try:
                if (found := _mapped(path)) is None:
                    self._write(path, shape, dtype, make())
                    found = _mapped(path)
            finally:
                with suppress(OSError):
                    lock.unlink()
        if found is None:  # others needed its room already
            return np.concatenate([np.empty((0, *shape[1:]), dtype), *make()])
        return found

    def _write(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], made: Iterable[Array]) -> None:
        """Write in order, so that a full disk is an error and not a signal."""
        self._make_room(int(np.prod(shape)) * dtype.itemsize)
        facts = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        with replacing(path, REMEDY) as half, half.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, facts)
            for block in made:
                file.write(np.ascontiguousarray(block).data.cast("B"))

    def _make_room(self, wanted: int) -> None:
        """Remove what was not opened for longest."""
        for half in self.folder.glob(".*.npy.*"):  # left by a process that was killed
            with suppress(FileNotFoundError):
                if time.time() - half.stat().st_mtime > ABANDONED_S:
                    half.unlink()
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*.npy"):
            with suppress(FileNotFoundError):  # removed meanwhile by others who need room
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, path))
        over = sum(size for _, size, _ in found) + wanted - self.limit
        for _, size, path in sorted(found):
            if over <= 0:
                return
            with suppress(FileNotFoundError):
                path.unlink()
            over -= size


def _mapped(path: Path) -> Array | None:
    """The array of a file, from now on the one that was used last."""
    try:
        os.utime(path)
        found: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return None
    return found
