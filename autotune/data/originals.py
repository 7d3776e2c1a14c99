"""Samples as their files have them, for people to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from autotune.data import csv, parquet, text
from autotune.data.columns import Array
from autotune.data.features import is_image, is_list
from autotune.data.files import find
from autotune.data.sources import c45_header, format_of


def describer(source: str | Path) -> Callable[[Array], list[str]] | None:
    """A function from sample ids to one text each: the line, or the columns of the row.

    Args:
        source: As for `open_dataset`, which has read it.

    Returns:
        None where the files hold nothing but numbers or pictures.
    """
    path = Path(source)
    kind = format_of(path) if path.exists() or str(source) != "digits" else ""
    if kind in text.SUFFIXES:
        return lambda ids: _texts(source, ids)
    if kind in csv.SUFFIXES:
        return lambda ids: _rows(
            source, csv.SUFFIXES, lambda one: csv.read_file(one, c45_header(one.parent)), ids
        )
    if kind in parquet.SUFFIXES:
        return lambda ids: _rows(source, parquet.SUFFIXES, _read_flat, ids)
    return None


def _texts(source: str | Path, ids: Array) -> list[str]:
    pairs, _ = text.lines(source)
    return [pairs[i][1] for i in ids.tolist()]


def _read_flat(path: Path) -> pa.Table:
    """The columns that fit in a line; pictures and lists, most of the file, are not read."""
    flat = [one.name for one in pq.read_schema(path) if not (is_image(one.type) or is_list(one.type))]
    return pq.read_table(path, columns=flat)


def _rows(
    source: str | Path, suffixes: Sequence[str], read: Callable[[Path], pa.Table], ids: Array
) -> list[str]:
    """The columns of some rows."""
    tables = [read(one) for one in find(source, suffixes).all]
    whole = pa.concat_tables(tables, promote_options="permissive")
    if not whole.column_names:  # a table without columns has no rows to take
        return [""] * len(ids)
    return [
        ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
        for row in whole.take(pa.array(ids)).to_pylist()
    ]
