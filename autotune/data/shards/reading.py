"""Open a data set without loading it: targets and kept columns into memory, inputs left where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import numpy as np
import pyarrow as pa

from autotune.data.columns import INPUTS, Array, Columns
from autotune.data.files import Source
from autotune.data.shards.cache import Limits
from autotune.data.shards.decoding import decoder_for
from autotune.data.shards.files import find_shards, guarded
from autotune.data.shards.inputs import ShardedInputs
from autotune.data.shards.layout import AT_ONCE, Footer, check_alike, laid_out, read_footers
from autotune.data.table import Roles, assemble
from autotune.data.text import HashingTokenizer
from autotune.errors import DataError
from autotune.storage.location import Remote


def read(source: Source | Remote, roles: Roles, tokenizer: HashingTokenizer, limits: Limits) -> Columns:
    """Targets, kept columns, and inputs that are read later; row ids count over the shards in sorted order.

    Raises:
        StorageError: When a shard cannot be read.
        DataError: When a shard is damaged, differs from the others or does not fit the roles.
    """
    train, test = find_shards(source)
    footers = read_footers([*train, *test])
    schema = footers[0].schema
    try:
        names = roles.input_names(schema)
    except DataError as error:
        raise DataError(f"{footers[0].shard}: {error}") from error
    small = [*([roles.target] if roles.target else []), *roles.keep]
    check_alike(footers, [*names, *small])
    layout, decoder = laid_out(footers), decoder_for(names, footers[: len(train)], tokenizer)
    facts = [(one.shard.name, one.shard.size, one.metadata.num_rows, one.digest) for one in footers]
    fingerprint = hashlib.sha256(repr((facts, decoder)).encode()).hexdigest()
    unknown = ShardedInputs(layout, decoder, limits, (), np.dtype(np.float32), fingerprint)
    first = unknown.peek()
    inputs = replace(unknown, row=first.shape[1:], dtype=first.dtype)
    groups = [group for group in (footers[: len(train)], footers[len(train) :]) if group]
    parts = [_columns(group, small) for group in groups]
    return assemble(parts, cast(Array, inputs), roles) if small else Columns({INPUTS: cast(Array, inputs)})


def _columns(footers: Sequence[Footer], names: Sequence[str]) -> pa.Table:
    def one(footer: Footer) -> pa.Table:
        with guarded(footer.shard):
            return footer.shard.open().read(columns=list(names)).replace_schema_metadata(None)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return pa.concat_tables(pool.map(one, footers))
