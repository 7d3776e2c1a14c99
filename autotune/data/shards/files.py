"""Shards: Parquet files in folders and object stores, of which only the bytes that are asked for are read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from autotune.data.files import Source, find, is_test
from autotune.data.parquet import SUFFIXES
from autotune.errors import DataError, StorageError
from autotune.storage.local import tag_of
from autotune.storage.location import Location, Remote, locate
from autotune.storage.opening import store_at
from autotune.storage.patient import OPENING_S, Patient
from autotune.storage.store import Stored

BUFFER: Final = 4 << 20  # bytes of one request while a row group is read
_TAIL: Final = 1 << 16  # bytes in which most footers are
_LEAST: Final = 12  # bytes of the smallest Parquet file


@dataclass(frozen=True)
class Shard:
    """One Parquet file, as it was when the data set was opened.

    Attributes:
        folder: That it is in.
        name: In the folder.
        size: Bytes.
        tag: Tells its content from a later one, see `Stored`.
    """

    folder: Location
    name: str
    size: int
    tag: str

    def __str__(self) -> str:
        return str(self.folder / self.name)

    def part(self, start: int, length: int, beat: Callable[[], object] | None = None) -> bytes:
        """Some of its bytes.

        Args:
            start: Of the first one.
            length: How many.
            beat: Called while a store that is away is waited for, without end; None gives it a minute.

        Raises:
            StorageError: When it is gone, or is another file by now, or cannot be read.
        """
        there = store_at(self.folder)
        store = Patient(there, patience_s=OPENING_S) if beat is None else Patient(there, beat)
        found = store.part(self.name, start, length, self.tag)
        if found is None:
            raise StorageError(
                f"{self} is gone or has changed since the data set was opened; put it back as it was, or "
                "begin a study of the new data. A folder must hold the very same files on every machine"
            )
        return found

    def open(self, beat: Callable[[], object] | None = None) -> pq.ParquetFile:
        """The file, ready to be read from its footer on; see `part`."""
        with guarded(self):
            return pq.ParquetFile(_Bytes(self, beat), buffer_size=BUFFER, pre_buffer=False)

    def footer(self) -> bytes:
        """The bytes of its footer with what ends the file.

        Raises:
            DataError: When it has none.
        """
        if self.size < _LEAST:
            raise DataError(f"{self} is damaged or no Parquet file; write it again, or move it elsewhere")
        tail = self.part(max(0, self.size - _TAIL), _TAIL)
        length = int.from_bytes(tail[-8:-4], "little") + 8
        if tail[-4:] != b"PAR1" or length > self.size:
            raise DataError(f"{self} is damaged or no Parquet file; write it again, or move it elsewhere")
        return tail[-length:] if length <= len(tail) else self.part(self.size - length, length)


class _Bytes(io.RawIOBase):
    """A shard as a file; its store is asked for each read."""

    def __init__(self, shard: Shard, beat: Callable[[], object] | None = None) -> None:
        super().__init__()
        self._shard, self._beat = shard, beat
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._shard.size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = self._shard.size - self._at
        size = left if size < 0 else min(size, left)
        found = self._shard.part(self._at, size, self._beat) if size > 0 else b""
        self._at += len(found)
        return found


@contextmanager
def guarded(shard: Shard) -> Iterator[None]:
    """Say which shard is damaged.

    Raises:
        DataError: Instead of Arrow's own error.
    """
    try:
        yield
    except (DataError, StorageError, MemoryError):
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{shard} is damaged or no Parquet file: {error}; write it again") from error


def find_shards(source: Source | Remote) -> tuple[list[Shard], list[Shard]]:
    """The shards of a source in sorted order, and of them those of the official test part, which come last.

    A source is a file, several, a folder, a glob pattern, or the address of a file or folder in an object
    store. Of several shards, those with `test` as a word in their name are the official test part.

    Raises:
        DataError: When there are none.
    """
    given = [source] if isinstance(source, str | Path | Remote) else source
    places = [locate(one) for one in given]
    local = [place for place in places if isinstance(place, Path)]
    shards = [shard for place in places if isinstance(place, Remote) for shard in _remote(place)]
    if local:
        wanted: Any = local[0] if len(local) == 1 else local
        shards += [_local(path.absolute()) for path in find(wanted, SUFFIXES).all]
    test = [shard for shard in shards if is_test(Path(shard.name))]
    if len(test) == len(shards):
        return shards, []  # only the test part was asked for: then it is the data
    return [shard for shard in shards if not is_test(Path(shard.name))], test


def _local(path: Path) -> Shard:
    facts = path.stat()
    return Shard(path.parent, path.name, facts.st_size, tag_of(facts))


def _remote(place: Remote) -> Sequence[Shard]:
    one = place.name.lower().endswith(SUFFIXES)
    folder = place.parent if one else place
    there = Patient(store_at(folder), patience_s=OPENING_S).look()

    def wanted(found: Stored) -> bool:
        return found.name == place.name if one else _is_shard(found.name)

    shards = [Shard(folder, found.name, found.size, found.tag) for found in there if wanted(found)]
    if not shards:
        known = ", ".join(found.name for found in there[:12]) or "nothing"
        raise DataError(
            f"no {' or '.join(SUFFIXES)} file at {place}; {folder} has: {known}; give the folder that they "
            "are in, or a list of folders"
        )
    return shards


def _is_shard(name: str) -> bool:
    return "/" not in name and name.lower().endswith(SUFFIXES)
