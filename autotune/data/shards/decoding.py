"""Rows of shards as model inputs: the same numbers that `data.table` makes of whole tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyarrow as pa

from autotune.data.columns import Array, single
from autotune.data.features import Number, is_image, is_list, is_number, is_string
from autotune.data.shards.layout import Footer
from autotune.data.table import fill, read_inputs
from autotune.data.text import HashingTokenizer
from autotune.errors import DataError


@final
@dataclass(frozen=True)
class Decoder:
    """What becomes of the input columns; it depends on no row but the one that is decoded.

    Attributes:
        names: The columns.
        numbers: How each is encoded where they are numbers; empty for one column of anything else.
        tokenizer: For text.
    """

    names: tuple[str, ...]
    numbers: tuple[Number, ...]
    tokenizer: HashingTokenizer

    def decode(self, rows: pa.Table) -> Array:
        """Inputs, shape (rows, ...)."""
        if self.numbers:
            return fill([rows], self.numbers)
        return single(read_inputs([rows], self.names, self.tokenizer))


def decoder_for(names: Sequence[str], footers: Sequence[Footer], tokenizer: HashingTokenizer) -> Decoder:
    """How the input columns of shards are decoded, by those to train on.

    Raises:
        DataError: When that would need all rows at once, or is not known.
    """
    schema, first = footers[0].schema, footers[0].shard
    kinds: list[Any] = [schema.field(name).type for name in names]
    if len(names) == 1 and (is_image(kinds[0]) or is_list(kinds[0]) or is_string(kinds[0])):
        return Decoder(tuple(names), (), tokenizer)
    for name, kind in zip(names, kinds, strict=True):
        if is_string(kind):
            raise DataError(
                f"{first}: column {name!r} holds text, whose categories are known only when all shards are "
                "read; write it as numbers, leave it out of inputs=, or make it the only input"
            )
        if not is_number(kind):
            raise DataError(
                f"{first}: column {name!r} is {kind}, which is no number; write nested columns flat, one "
                "column each, or leave them out of inputs="
            )
    marked = [Number(name, any(footer.nulls(name) for footer in footers)) for name in names]
    return Decoder(tuple(names), tuple(marked), tokenizer)


def check_block(block: Array, like: tuple[int, ...], dtype: np.dtype[Any], where: str, first: int) -> None:
    """Refuse decoded rows of another shape or type than the first row of the data, and NaN.

    Args:
        block: The rows.
        like: Shape of one row.
        dtype: Their type.
        where: Name of the shard.
        first: Row id of the first.

    Raises:
        DataError: When they do not fit.
    """
    if block.shape[1:] != like or block.dtype != dtype:
        raise DataError(
            f"{where}: inputs from row id {first} on are {block.dtype} of shape {block.shape[1:]}, those of "
            f"the first row {dtype} of shape {like}; write all shards alike"
        )
    if block.dtype.kind == "f" and not np.isfinite(block).all():
        bad = first + int(np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))[0])
        raise DataError(
            f"{where}: inputs must be finite, got NaN or infinity at row id {bad}; drop such rows or fill in "
            "what is missing"
        )
