"""Which rows lie where: footers of shards, their common schema, and the row groups of all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from autotune.data.columns import Array
from autotune.data.shards.files import Shard, guarded
from autotune.errors import DataError

AT_ONCE: Final = 16  # shards that are asked for side by side


@dataclass(frozen=True)
class Footer:
    """What a shard says of itself.

    Attributes:
        shard: Whose it is.
        metadata: As Arrow reads it.
        schema: Arrow's types of its columns.
        digest: SHA-256 of its bytes, as hex.
    """

    shard: Shard
    metadata: Any
    schema: pa.Schema
    digest: str

    def nulls(self, column: str) -> bool:
        """Whether a column of numbers may have missing values."""
        place = self._places[column]
        chunks = (self.metadata.row_group(i).column(place) for i in range(self.metadata.num_row_groups))
        return any(
            one.statistics is None or not one.statistics.has_null_count or one.statistics.null_count
            for one in chunks
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        """Position of each column among the chunks of a row group."""
        schema = self.metadata.schema
        return {schema.column(i).path: i for i in range(len(schema))}


@dataclass(frozen=True, eq=False)
class Layout:
    """The row groups of a data set, in the order of its row ids.

    Attributes:
        shards: In reading order.
        starts: Row id of the first row of each group, and last the number of rows, shape (groups + 1,).
        shard_of: Position of each group's shard, shape (groups,).
        within: Number of each group in its shard, shape (groups,).
    """

    shards: tuple[Shard, ...]
    starts: Array
    shard_of: Array
    within: Array

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    def group_of(self, ids: Array) -> Array:
        """The row group that each row lies in."""
        return np.searchsorted(self.starts, ids, side="right") - 1

    @cached_property
    def pinned(self) -> str:
        """SHA-256 over what tells these very files from later ones, as hex."""
        return hashlib.sha256("\0".join(f"{one}\0{one.tag}" for one in self.shards).encode()).hexdigest()


def read_footers(shards: Sequence[Shard]) -> list[Footer]:
    """The footers of shards, asked for side by side.

    Raises:
        DataError: When one is damaged.
        StorageError: When one cannot be read.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_read, shards))


def _read(shard: Shard) -> Footer:
    footer = shard.footer()
    with guarded(shard):
        metadata = pq.read_metadata(pa.BufferReader(footer))
        schema = metadata.schema.to_arrow_schema()
    return Footer(shard, metadata, schema, hashlib.sha256(footer).hexdigest())


def check_alike(footers: Sequence[Footer], columns: Iterable[str]) -> None:
    """Refuse shards that lack a column, or have it in another type than the first.

    Raises:
        DataError: For the first such shard.
    """
    for column in columns:
        expected = footers[0].schema.field(column).type
        for footer in footers:
            if column not in footer.schema.names:
                raise DataError(
                    f"{footer.shard} has no column {column!r}, which {footers[0].shard} has; it has: "
                    f"{', '.join(footer.schema.names)}; write it again with the same columns, or move it away"
                )
            if (found := footer.schema.field(column).type) != expected:
                raise DataError(
                    f"{footer.shard} has {column!r} as {found}, {footers[0].shard} as {expected}; write all "
                    "shards with one schema"
                )


def laid_out(footers: Sequence[Footer]) -> Layout:
    """The row groups of shards, one after the other.

    Raises:
        DataError: When there are no rows.
    """
    rows, shard_of, within = [], [], []
    for position, footer in enumerate(footers):
        for group in range(footer.metadata.num_row_groups):
            if count := footer.metadata.row_group(group).num_rows:
                rows.append(count)
                shard_of.append(position)
                within.append(group)
    if not rows:
        raise DataError(f"{footers[0].shard} and all other shards have no rows; check what wrote them")
    starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    shards = tuple(footer.shard for footer in footers)
    return Layout(shards, starts, np.asarray(shard_of, np.int32), np.asarray(within, np.int32))
