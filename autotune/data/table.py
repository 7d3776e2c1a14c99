"""Arrow tables as inputs and targets.

What a table's columns become as inputs:

- encoded images (`struct<bytes, path>`): uint8 pixels, (n, channels, height, width);
- lists of equal length: an array of their shape;
- one column of text: token ids; text beside other columns: one-hot, at most 256 different values;
- numbers: as they are, float32; where values are missing, 0 and an extra column that says so.

No statistic of the values is used, so no test row can leak into training: category names and the extra
columns come from the training files alone where a source has an official test part (a category first seen
there becomes all zeros), and scaling waits for `autotune.data.standardise`, which reads chosen rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autotune.data import images
from autotune.data.columns import INPUTS, OFFICIAL_TEST, RESERVED, Array, Columns
from autotune.data.features import (
    Category,
    Number,
    encoder_of,
    is_image,
    is_list,
    is_number,
    is_string,
)
from autotune.data.labels import KINDS, read_targets
from autotune.data.text import HashingTokenizer
from autotune.errors import DataError, unknown


@dataclass(frozen=True)
class Roles:
    """Which column does what; see `Dataset.from_table`."""

    target: str | None
    inputs: str | Sequence[str] | None = None
    keep: tuple[str, ...] = ()
    kind: str | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise DataError(unknown("kind", self.kind, KINDS))
        for name in self.keep:
            if name in RESERVED:
                raise DataError(f"keep cannot hold {name!r}, a reserved column name; rename the column")

    def input_names(self, schema: pa.Schema) -> list[str]:
        """The columns that the model reads, in order.

        Raises:
            DataError: When a named column does not exist or none is left.
        """
        twice = [name for name in schema.names if schema.names.count(name) > 1]
        if twice:
            count = schema.names.count(twice[0])
            raise DataError(f"column names must differ, got {twice[0]!r} {count} times; rename one")
        given = [self.inputs] if isinstance(self.inputs, str) else self.inputs
        for name in [*(given or []), *self.keep, *([self.target] if self.target else [])]:
            if name not in schema.names:
                raise DataError(unknown("column", name, schema.names))
        if given is not None and self.target in given:
            raise DataError(f"inputs must not hold the target {self.target!r}; leave it out")
        names = list(given or [n for n in schema.names if n != self.target and n not in self.keep])
        arrays = [n for n in names if is_image(schema.field(n).type) or is_list(schema.field(n).type)]
        if given is None and len(arrays) == 1:
            return arrays
        if not names or (arrays and len(names) > 1):
            raise DataError(
                f"inputs must be one column of images or lists, or scalars, got {names}; name them in inputs="
            )
        return names


def read(rows: pa.Table, roles: Roles, tokenizer: HashingTokenizer) -> Columns:
    """Inputs, targets and kept columns of one table."""
    inputs = read_inputs([rows], roles.input_names(rows.schema), tokenizer)
    return assemble([rows], inputs, roles)


def assemble(parts: Sequence[pa.Table], inputs: Array, roles: Roles) -> Columns:
    """Add targets, kept columns and the mark of the official test part to encoded inputs.

    Args:
        parts: The training table, and that of the official test part if there is one.
        inputs: Encoded inputs of all parts, shape (n, ...).
        roles: Which column does what.
    """
    arrays = {INPUTS: inputs}
    names: tuple[str, ...] = ()
    if roles.target is not None:
        for part in parts:
            if roles.target not in part.column_names:
                raise DataError(f"target {roles.target!r} is missing in the test files; {_columns(part)}")
        found = read_targets([part.column(roles.target) for part in parts], roles.target, roles.kind)
        arrays |= found.arrays
        names = found.names
    for name in roles.keep:
        arrays[name] = np.concatenate([_kept(part, name, parts[0]) for part in parts])
    if len(parts) > 1:
        arrays[OFFICIAL_TEST] = np.arange(len(inputs)) >= parts[0].num_rows
    return Columns(arrays, names)


def read_inputs(parts: Sequence[pa.Table], names: Sequence[str], tokenizer: HashingTokenizer) -> Array:
    """Encoded inputs of all parts, one below the other, shape (n, ...)."""
    for part in parts:
        for name in names:
            if name not in part.column_names:
                raise DataError(f"column {name!r} is missing in the test files; {_columns(part)}")
    n = sum(part.num_rows for part in parts)
    if n == 0:
        raise DataError("the table has no rows; check the path or filter it came from")
    columns = [part.column(names[0]) for part in parts]
    if len(names) == 1 and is_image(columns[0].type):
        return images.decode((chunk for column in columns for chunk in column.chunks), n)
    if len(names) == 1 and is_list(columns[0].type):
        return _joined([_lists(column, names[0]) for column in columns if len(column)], names[0])
    if len(names) == 1 and is_string(columns[0].type):
        return tokenizer.encode(text or "" for column in columns for text in column.to_pylist())
    return fill(parts, [encoder_of(parts[0].column(name), name) for name in names])


def fill(parts: Sequence[pa.Table], encoders: Sequence[Number | Category]) -> Array:
    """Columns of numbers and categories of all parts, one below the other, shape (n, width)."""
    n = sum(part.num_rows for part in parts)
    out = np.zeros((n, sum(encoder.width for encoder in encoders)), np.float32)
    row = 0
    for part in parts:
        left = 0
        for encoder in encoders:
            column = part.column(encoder.name)
            encoder.fill(out[row : row + part.num_rows, left : left + encoder.width], column)
            left += encoder.width
        row += part.num_rows
    return out


def _lists(column: Any, name: str) -> Array:
    values = column.combine_chunks()
    shape = [len(values)]
    while is_list(values.type):
        if values.null_count:
            raise DataError(f"column {name!r} has {values.null_count} missing lists; drop these rows")
        lengths = pc.list_value_length(values).unique().to_pylist()
        if len(lengths) > 1:
            raise DataError(
                f"lists of {name!r} must have one length, got {sorted(lengths)[:5]}; pad or cut them"
            )
        shape += lengths
        values = values.flatten()
    if not is_number(values.type):
        raise DataError(f"lists of {name!r} must hold numbers, got {values.type}; encode them first")
    flat: Array = values.to_numpy(zero_copy_only=False)
    return flat.reshape(shape)


def _joined(parts: Sequence[Array], name: str) -> Array:
    for part in parts:
        if part.shape[1:] != parts[0].shape[1:]:
            raise DataError(
                f"lists of {name!r} must have one length, got {parts[0].shape[1:]} and in the test files "
                f"{part.shape[1:]}; pad or cut them"
            )
    return np.concatenate(parts)


def _kept(part: pa.Table, name: str, first: pa.Table) -> Array:
    if name in part.column_names:
        return np.asarray(part.column(name).to_numpy())
    kind = first.column(name).type  # a column of the training files only, such as annotators' labels
    if pa.types.is_integer(kind):
        return np.full(part.num_rows, -1)
    if pa.types.is_floating(kind):
        return np.full(part.num_rows, np.nan)
    raise DataError(f"kept column {name!r} is missing in the test files; {_columns(part)}")


def _columns(part: pa.Table) -> str:
    return f"they have: {', '.join(part.column_names)}"
