"""Inputs in shards: rows are decoded when they are asked for, and kept on the node's disk if that helps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from autotune.data.columns import Array, Unloaded
from autotune.data.shards.cache import GIB, Limits
from autotune.data.shards.decoding import Decoder, check_block
from autotune.data.shards.files import Shard, guarded
from autotune.data.shards.layout import Layout
from autotune.errors import DataError

BLOCK_BYTES: Final = 1 << 20  # of decoded rows at once; Arrow takes some ten times as much meanwhile


@final
@dataclass(frozen=True, eq=False, repr=False)
class ShardedInputs(Unloaded):
    """The input columns of Parquet shards.

    As many row groups as half the cache holds, the first of the data, are kept there once they are decoded.
    The others are decoded whenever they are read: who passes again and again over more than a cache holds
    finds nothing in one that keeps what was used last, and a fixed part in one that keeps the same.

    Attributes:
        layout: Where rows lie.
        decoder: What is made of them.
        limits: Of disk and memory.
        row: Shape of one row.
        dtype: Of the values.
        fingerprint: SHA-256 over names, sizes and footers of the shards and over the decoder, as hex.
    """

    layout: Layout
    decoder: Decoder
    limits: Limits
    row: tuple[int, ...]
    dtype: np.dtype[Any]
    fingerprint: str

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # it follows from what is there
        """(n, ...)."""
        return (self.layout.n, *self.row)

    @cached_property
    def _identity(self) -> str:
        """Of these very files; a file that is written again has the fingerprint of the old one, maybe."""
        return hashlib.sha256(f"{self.fingerprint}{self.layout.pinned}".encode()).hexdigest()

    def __getitem__(self, rows: Any) -> Array:
        """Some rows, read into memory: a number, a slice, ids in any order, or a mask.

        Raises:
            DataError: When they are more than `memory_gib`, or do not exist.
        """
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        ids = np.asarray(rows)
        if ids.ndim == 0:
            found: Array = self[ids[None]][0]
            return found
        ids = np.flatnonzero(ids) if ids.dtype == np.bool_ else ids.astype(np.int64)
        if (size := len(ids) * self.row_bytes / GIB) > self.limits.memory_gib:
            raise DataError(
                f"{len(ids)} rows of inputs take {size:.2g} GiB at once, more than memory_gib="
                f"{self.limits.memory_gib:g}; read them in blocks, inputs.gather(ids), or raise memory_gib"
            )
        if len(ids) and (ids.min() < 0 or ids.max() >= len(self)):
            raise DataError(f"row ids must be in [0, {len(self)}), got {ids.min()} to {ids.max()}")
        distinct, where = np.unique(ids, return_inverse=True)
        return np.concatenate([np.empty((0, *self.row), self.dtype), *self.gather(distinct)])[where]

    def gather(self, ids: Array, beat: Callable[[], object] = lambda: None) -> Iterator[Array]:
        """Some rows in blocks of at most 1 MiB; each row group is read once, and no further than needed."""
        opened = lru_cache(maxsize=1)(partial(Shard.open, beat=beat))
        groups = self.layout.group_of(ids)
        cuts = np.flatnonzero(np.diff(groups, prepend=-1))
        for begin, end in pairwise([*cuts, len(ids)]):
            group = int(groups[begin])
            wanted = ids[begin:end] - self.layout.starts[group]
            row = done = 0
            for block in self._blocks(group, opened, beat):
                beat()
                upto = int(np.searchsorted(wanted, row + len(block)))
                if upto > done:
                    yield block[wanted[done:upto] - row]
                row, done = row + len(block), upto
                if done == len(wanted):
                    break

    def peek(self) -> Array:
        """The first row, which tells shape and type of all."""
        shard = self.layout.shards[self.layout.shard_of[0]]
        with guarded(shard):
            batches = shard.open().iter_batches(
                1,
                row_groups=[int(self.layout.within[0])],
                columns=list(self.decoder.names),
                use_threads=False,
            )
            return self.decoder.decode(pa.Table.from_batches([next(batches)]))

    def packed(self, ids: Array, beat: Callable[[], object] = lambda: None) -> Array:
        """Some rows as one array that is mapped from the node's disk; made once for all who ask on a node.

        Args:
            ids: Sorted, distinct.
            beat: Called from time to time.
        """
        digest = hashlib.sha256(self._identity.encode() + ids.astype("<i8").tobytes()).hexdigest()
        shape = (len(ids), *self.row)
        return self.limits.rows.get(digest[:32], shape, self.dtype, lambda: self.gather(ids, beat), beat)

    def sparse(self, ids: Array) -> bool:
        """Whether rows are fewer than half of those that have to be decoded for them."""
        groups = np.unique(self.layout.group_of(ids))
        return bool(2 * len(ids) < np.diff(self.layout.starts)[groups].sum())

    @property
    def window(self) -> int:
        """Rows that are packed together at most."""
        return max(1, self.limits.window // self.row_bytes)

    def _blocks(
        self, group: int, opened: Callable[[Shard], Any], beat: Callable[[], object]
    ) -> Iterator[Array]:
        """A row group in blocks."""
        first, end = int(self.layout.starts[group]), int(self.layout.starts[group + 1])
        if end * self.row_bytes > self.limits.half:
            yield from self._decoded(group, opened)
            return
        name, shape = f"{self._identity[:32]}-{group}", (end - first, *self.row)
        kept = self.limits.groups.get(name, shape, self.dtype, lambda: self._decoded(group, opened), beat)
        step = max(1, BLOCK_BYTES // self.row_bytes)
        for start in range(0, len(kept), step):
            yield kept[start : start + step]

    def _decoded(self, group: int, opened: Callable[[Shard], Any]) -> Iterator[Array]:
        shard = self.layout.shards[self.layout.shard_of[group]]
        row = int(self.layout.starts[group])
        with guarded(shard):
            batches = opened(shard).iter_batches(
                max(1, BLOCK_BYTES // self.row_bytes),
                row_groups=[int(self.layout.within[group])],
                columns=list(self.decoder.names),
                use_threads=False,
            )
            for batch in batches:
                block = self.decoder.decode(pa.Table.from_batches([batch]))
                check_block(block, self.row, self.dtype, str(shard), row)
                yield block
                row += len(block)
