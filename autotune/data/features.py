"""Columns of numbers and categories as input features, and the types that Arrow columns may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autotune.data.columns import Array
from autotune.errors import DataError

MOST_CATEGORIES: Final = 256


def is_image(kind: Any) -> bool:
    """Whether a column holds encoded images."""
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def is_list(kind: Any) -> bool:
    """Whether a column holds arrays."""
    return bool(pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_string(kind: Any) -> bool:
    """Whether a column holds text."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


@dataclass(frozen=True)
class Number:
    """A column of numbers; `marks` adds a column that is 1 where the value is missing."""

    name: str
    marks: bool

    @property
    def width(self) -> int:
        """Input columns that it fills."""
        return 1 + self.marks

    def fill(self, out: Array, column: Any) -> None:
        """Write the values of a part of the column, shape (rows, width); `out` holds zeros."""
        if not is_number(column.type):
            raise DataError(
                f"column {self.name!r} holds numbers in the first file and {column.type} in another"
            )
        out[:, 0] = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy()
        if self.marks:
            out[:, 1] = column.is_null().to_numpy()


@dataclass(frozen=True)
class Category:
    """A column of text, one-hot over the values of the first part; a missing value is one of them."""

    name: str
    values: pa.Array

    @property
    def width(self) -> int:
        """Input columns that it fills."""
        return len(self.values)

    def fill(self, out: Array, column: Any) -> None:
        """Write the values of a part of the column, shape (rows, width); `out` holds zeros."""
        codes = pc.index_in(pc.fill_null(_as_text(column), "?"), self.values)
        known = np.flatnonzero(codes.is_valid().to_numpy())
        out[known, codes.drop_null().to_numpy()] = 1.0


def encoder_of(column: Any, name: str) -> Number | Category:
    """How a column of the training part becomes input columns.

    Raises:
        DataError: When it is neither numbers nor text, or has too many different texts.
    """
    if is_number(column.type):
        return Number(name, column.null_count > 0)
    if not is_string(column.type):
        raise DataError(
            f"column {name!r} must hold numbers or text to be an input, got {column.type}; leave it out of "
            "inputs= "
            "or, for groups and times, name it in keep="
        )
    values = pc.fill_null(_as_text(column), "?").unique().sort()
    if len(values) > MOST_CATEGORIES:
        raise DataError(
            f"column {name!r} has {len(values)} different texts, at most {MOST_CATEGORIES} can be one-hot "
            "inputs; "
            "leave it out of inputs=, or make it the only input"
        )
    return Category(name, values)


def is_number(kind: Any) -> bool:
    """Whether a column holds numbers, or only missing values."""
    types = pa.types
    return any(
        is_kind(kind)
        for is_kind in (
            types.is_integer,
            types.is_floating,
            types.is_boolean,
            types.is_null,
            types.is_decimal,
        )
    )


def _as_text(column: Any) -> Any:
    return column.cast(pa.large_string())
