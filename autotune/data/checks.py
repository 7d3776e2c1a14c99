"""Everything that is wrong with a data set, said before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autotune.data.columns import INPUTS, OFFICIAL_TEST, TARGETS, Array, blocks, is_unloaded
from autotune.errors import DataError


def check_structure(columns: Mapping[str, Array], names: tuple[str, ...]) -> None:
    """Refuse columns that do not form a table; reads shapes and types only, never values.

    Raises:
        DataError: For empty data, mismatched lengths or a type that cannot be trained on.
    """
    if INPUTS not in columns:
        raise DataError(f"columns must have {INPUTS!r}, got {sorted(columns)}; name the model's inputs so")
    for name, values in columns.items():
        if values.dtype.kind not in "buif":
            raise DataError(
                f"column {name!r} must hold numbers, got {values.dtype}; tokenise text inputs with "
                "Dataset.from_text or HashingTokenizer, and encode the rest as numbers"
            )
        if values.ndim == 0:
            raise DataError(
                f"column {name!r} must have one row per sample, got a single number; pass an array"
            )
        if values.size == 0:
            raise DataError(
                f"column {name!r} must not be empty, got shape {values.shape}; check the path or filter it "
                "came from"
            )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"columns must have the same number of rows, got {lengths}; pass one row per sample in each"
        )
    _check_targets_structure(columns, names)


def check_content(columns: Mapping[str, Array], names: tuple[str, ...]) -> None:
    """Refuse values that would spoil training; reads every row of inputs and targets once, in blocks.

    Inputs that are not in memory are looked at when they are read.

    Raises:
        DataError: For NaN or infinity, class ids out of range or only one class.
    """
    for name in (INPUTS, TARGETS):
        if name in columns and columns[name].dtype.kind == "f" and not is_unloaded(columns[name]):
            check_finite(name, columns[name])
    targets = columns.get(TARGETS)
    if targets is not None and targets.dtype.kind == "i":
        check_classes(targets, len(names))


def check_finite(name: str, values: Array) -> None:
    """Refuse NaN and infinity, counting the rows that have one."""
    bad, first = 0, -1
    for start, block in blocks(values):
        finite = np.isfinite(block)
        if finite.all():
            continue
        rows = np.flatnonzero(~finite.reshape(len(block), -1).all(axis=1))
        first = start + int(rows[0]) if first < 0 else first
        bad += len(rows)
    if bad:
        raise DataError(
            f"{name} must be finite, got NaN or infinity in {bad} of {len(values)} rows, first at row id "
            f"{first}; "
            "drop these rows or fill in their missing values"
        )


def check_classes(targets: Array, named: int = 0) -> None:
    """Refuse class ids that are not 0..classes-1, and data of a single class.

    Args:
        targets: Class ids, shape (n,).
        named: How many classes have names; 0 = unknown, and then every class up to the highest must occur.
    """
    low, high = int(targets.min()), int(targets.max())
    bound = f"in [0, {named})" if named else "0..classes-1"
    if low < 0 or (named and high >= named):
        wrong = low if low < 0 else high
        row = int(np.flatnonzero(targets == wrong)[0])
        raise DataError(
            f"targets must be class ids {bound}, got {wrong} at row id {row}; drop unlabelled rows, give "
            "labels as "
            "text, or renumber with np.unique(targets, return_inverse=True)[1]"
        )
    if low == high:
        raise DataError(
            f"targets must have at least 2 classes, got only class {low} in all {len(targets)} rows; "
            "check the target column, or pass float targets for regression"
        )
    if not named and high >= len(targets):
        raise DataError(
            f"targets must be class ids {bound}, got {high} with {len(targets)} rows; renumber with "
            "np.unique(targets, return_inverse=True)[1], or pass float targets for regression"
        )
    counts = np.bincount(targets)
    if not named and not counts.all():
        missing = int(np.flatnonzero(counts == 0)[0])
        raise DataError(
            f"targets must be class ids {bound}, got up to {high} but no row of class {missing}; give names= "
            "for "
            "all classes, or renumber with np.unique(targets, return_inverse=True)[1]"
        )


def _check_targets_structure(columns: Mapping[str, Array], names: tuple[str, ...]) -> None:
    targets = columns.get(TARGETS)
    if targets is not None and targets.dtype.kind in "bui" and targets.dtype != np.int64:
        raise DataError(f"integer targets must be int64, got {targets.dtype}; build with Dataset.from_arrays")
    if targets is not None and targets.dtype.kind == "i" and targets.ndim != 1:
        raise DataError(
            f"class ids must have shape (n,), got {targets.shape}; pass several labels per row as another "
            "column"
        )
    if names and (targets is None or targets.dtype.kind != "i"):
        raise DataError(f"names are for classification, got {len(names)} names; leave them out")
    if OFFICIAL_TEST in columns and (
        columns[OFFICIAL_TEST].dtype != np.bool_ or columns[OFFICIAL_TEST].ndim != 1
    ):
        raise DataError(f"{OFFICIAL_TEST} must be a boolean per row, got {columns[OFFICIAL_TEST].dtype}")
