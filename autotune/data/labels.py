"""A table's target column as class ids with names, or as numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from autotune.data.columns import TARGETS, Array, Columns, class_ids, is_text, texts
from autotune.errors import DataError

KINDS: Final = ("classification", "regression")
MOST_NUMBERED_CLASSES: Final = 100


def read_targets(parts: Sequence[Any], name: str, kind: str | None) -> Columns:
    """Targets of the training part and, if there is one, the official test part, one below the other.

    Whole numbers and text are classes, other numbers are regression, unless `kind` says otherwise. Class
    numbers with gaps and class texts are renumbered and keep their names.

    Raises:
        DataError: When a target is missing, does not fit the kind, or is a class that only the test part has.
    """
    row = 0
    for part in parts:
        if part.null_count:
            first = row + int(np.flatnonzero(part.is_null().to_numpy())[0])
            raise DataError(
                f"target {name!r} is missing in {part.null_count} rows, first at row id {first}; drop them"
            )
        row += len(part)
    arrays = [np.asarray(_decoded(part).to_numpy()) for part in parts]
    arrays = [texts(values, name) if is_text(values) else values for values in arrays]
    if len({is_text(values) for values in arrays}) > 1:
        raise DataError(f"target {name!r} is text in one file and numbers in another; write it alike in all")
    if kind == "regression" or (kind is None and arrays[0].dtype.kind == "f"):
        return _numbers(np.concatenate(arrays), name)
    if arrays[0].dtype.kind == "U":
        return _words(arrays, name)
    return _numbered(np.concatenate(arrays), len(arrays[0]), name, kind)


def _numbers(values: Array, name: str) -> Columns:
    if values.dtype.kind not in "buif":
        raise DataError(
            f"target {name!r} must hold numbers for regression, got {values.dtype}; use kind='classification'"
        )
    return Columns({TARGETS: values.astype(np.float32)})


def _words(parts: list[Array], name: str) -> Columns:
    known = set(parts[0].tolist())
    rows = parts[0].tolist()
    for word in (each for part in parts[1:] for each in part.tolist()):
        rows.append(
            word if word in known else word.removesuffix(".")
        )  # the test files of C4.5 end in a full stop
    _refuse_new(known, set(rows), name)
    names, ids = np.unique(np.asarray(rows, dtype=np.str_), return_inverse=True)
    return Columns({TARGETS: ids.astype(np.int64)}, tuple(names.tolist()))


def _numbered(values: Array, first_part: int, name: str, kind: str | None) -> Columns:
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        raise DataError(f"target {name!r} must hold whole numbers for classification; use kind='regression'")
    found = class_ids(values)
    if kind is None and len(found.names) > MOST_NUMBERED_CLASSES:
        raise DataError(
            f"target {name!r} has {len(found.names)} different whole numbers with gaps; say "
            "kind='regression' or "
            "kind='classification'"
        )
    _refuse_new(set(values[:first_part].tolist()), set(values.tolist()), name)
    return found


def _refuse_new(known: set[Any], found: set[Any], name: str) -> None:
    if found - known:
        raise DataError(
            f"target {name!r} has classes {sorted(found - known)[:5]} in the test files only; the training "
            "files have "
            f"{sorted(known)[:20]}: drop these rows or fix their labels"
        )


def _decoded(column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
