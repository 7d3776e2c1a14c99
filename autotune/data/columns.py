"""Columns as a reader hands them over, and the rules that hold for every source."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from autotune.errors import DataError, unknown

Array = npt.NDArray[Any]

INPUTS: Final = "inputs"
TARGETS: Final = "targets"
OFFICIAL_TEST: Final = "official_test"
GROUPS: Final = "groups"
RESERVED: Final = (INPUTS, TARGETS, OFFICIAL_TEST)
BLOCK_BYTES: Final = 1 << 24


@dataclass(frozen=True)
class Columns:
    """What a reader found.

    Attributes:
        arrays: Columns by name, all with the same first dimension.
        names: Class names by class id; empty when the source has none.
    """

    arrays: Mapping[str, Array]
    names: tuple[str, ...] = ()


class Unloaded(ABC):
    """Inputs that are not in memory: they have shape and type like an array, and rows are read by their ids.

    Attributes:
        shape: (n, ...).
        dtype: Of the values.
        fingerprint: SHA-256 over what decides them, as hex.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fingerprint: str

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, rows: Any) -> Array:
        """Some rows, read into memory.

        Raises:
            DataError: When they are more than may be in memory at once.
        """

    @abstractmethod
    def gather(self, ids: Array, beat: Callable[[], object] = lambda: None) -> Iterator[Array]:
        """Some rows in blocks, reading what holds them once and in order.

        Args:
            ids: Sorted, distinct.
            beat: Called from time to time.
        """

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        raise DataError(
            f"these inputs ({self.dtype}{list(self.shape)}) stay in their shards; read rows, inputs[ids], or "
            "the data set into memory with Dataset.from_parquet"
        )


def is_unloaded(values: object) -> TypeGuard[Unloaded]:
    """Whether a column of inputs, which goes for an array elsewhere, is not in memory."""
    return isinstance(values, Unloaded)


def blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """Consecutive row ranges of about 16 MB with their first row id, so that no scan copies a column."""
    if is_unloaded(array):
        row = 0
        for block in array.gather(np.arange(len(array))):
            yield row, block
            row += len(block)
        return
    row_bytes = max(1, array.nbytes // max(1, len(array)))
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def plain(arrays: Mapping[str, Any], names: Sequence[str]) -> Columns:
    """Bring columns to the types that training wants, without copying what already has them.

    Inputs and regression targets of double precision become float32; class ids become int64; text targets
    become ids in sorted order (or in the order of `names`) and leave their names; other text columns
    become ids, dates become nanoseconds since 1970.
    """
    found: dict[str, Array] = {}
    known = tuple(str(name) for name in names)
    for column, given in arrays.items():
        if is_unloaded(given):
            found[column] = cast(Array, given)
            continue
        values = np.asarray(given)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if column == TARGETS:
            values, known = _targets(values, known)
        elif column == INPUTS:
            values = single(values)
        elif column == OFFICIAL_TEST and values.dtype != np.bool_:
            raise DataError(
                f"{OFFICIAL_TEST} must be a boolean per row, got {values.dtype}; write np.isin(np.arange(n), "
                "ids)"
            )
        elif is_text(values):
            values = np.unique(texts(values, column), return_inverse=True)[1].astype(np.int64)
        if values.dtype.kind == "M":
            values = values.astype("datetime64[ns]").astype(np.int64)
        found[column] = values
    return Columns(found, known)


def is_text(values: Array) -> bool:
    """Whether an array holds text (or Python objects, which may only be text)."""
    return values.dtype.kind in "USOT"


def texts(values: Array, column: str) -> Array:
    """Text values as a Unicode array.

    Raises:
        DataError: When a value is not text.
    """
    for row, value in enumerate(values.tolist()):
        if not isinstance(value, str | bytes):
            raise DataError(
                f"column {column!r} must hold numbers or texts, got {type(value).__name__} at row id {row}; "
                "convert it to one number or one text per row"
            )
    try:
        return np.asarray([v.decode() if isinstance(v, bytes) else v for v in values.tolist()], dtype=np.str_)
    except UnicodeDecodeError as error:
        raise DataError(f"column {column!r} holds text that is not UTF-8; save it as UTF-8") from error


def class_ids(values: Array) -> Columns:
    """Integer class labels as ids 0..classes-1; gaps are closed and the labels kept as names.

    For files, which are awkward to edit; arrays have to come with proper ids.
    """
    ids = values.astype(np.int64)
    distinct, inverse = np.unique(ids, return_inverse=True)
    proper = len(distinct) == 0 or distinct[0] < 0 or distinct[-1] == len(distinct) - 1
    if proper:  # negative ids stay for the check that explains them
        return Columns({TARGETS: ids})
    return Columns({TARGETS: inverse.astype(np.int64)}, tuple(str(label) for label in distinct))


def _targets(values: Array, names: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
    if is_text(values):
        words = texts(values, TARGETS)
        if not names:
            distinct, inverse = np.unique(words, return_inverse=True)
            return inverse.astype(np.int64), tuple(distinct.tolist())
        position = {name: i for i, name in enumerate(names)}
        for word in words.tolist():
            if word not in position:
                raise DataError(unknown("class name", word, names))
        return np.asarray([position[word] for word in words.tolist()], dtype=np.int64), names
    if values.dtype.kind in "bui":
        return values.astype(np.int64, copy=False), names
    return single(values), names


def single(values: Array) -> Array:
    """Double precision as single; anything else as it is."""
    return values.astype(np.float32) if values.dtype == np.float64 else values
