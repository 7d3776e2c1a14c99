"""Parquet files; images are streamed, everything else is read as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from autotune.data import images
from autotune.data.columns import Columns
from autotune.data.features import is_image
from autotune.data.files import Source, find
from autotune.data.table import Roles, assemble, read_inputs
from autotune.data.text import HashingTokenizer
from autotune.errors import DataError, StorageError

SUFFIXES: Final = (".parquet", ".pq")


def read(source: Source, roles: Roles, tokenizer: HashingTokenizer) -> Columns:
    """Inputs, targets and kept columns; files with `test` in their name are the official test part.

    Raises:
        StorageError: When a file cannot be read.
        DataError: When a file is missing or damaged, or its columns do not fit the roles.
    """
    files = find(source, SUFFIXES)
    groups = [group for group in (files.train, files.test) if group]
    names = roles.input_names(_open(groups[0][0]).schema_arrow)
    if len(names) == 1 and is_image(_open(groups[0][0]).schema_arrow.field(names[0]).type):
        paths = [path for group in groups for path in group]
        n = sum(_open(path).metadata.num_rows for path in paths)
        pixels = images.decode(_stream(paths, names[0]), n)
        return assemble([_table(group, roles, []) for group in groups], pixels, roles)
    tables = [_table(group, roles, names) for group in groups]
    return assemble(tables, read_inputs(tables, names, tokenizer), roles)


def column_names(path: Path) -> list[str]:
    """The columns of one file."""
    return list(_open(path).schema_arrow.names)


def _table(paths: Sequence[Path], roles: Roles, names: Sequence[str]) -> pa.Table:
    wanted = {*names, *roles.keep, *([roles.target] if roles.target else [])}
    tables = []
    for path in paths:
        file = _open(path)
        table = _guard(path, lambda f=file: f.read(columns=[n for n in f.schema_arrow.names if n in wanted]))
        tables.append(table.replace_schema_metadata(None))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"{paths[0].parent}: the files' columns do not match: {error}; write them alike"
        ) from error


def _stream(paths: Sequence[Path], name: str) -> Iterator[Any]:
    for path in paths:
        file = _open(path)
        if name not in file.schema_arrow.names:
            raise DataError(f"{path} has no column {name!r}, it has: {', '.join(file.schema_arrow.names)}")
        batches = file.iter_batches(images.BATCH, columns=[name])
        while (batch := _guard(path, lambda b=batches: next(b, None))) is not None:
            yield batch.column(0)


def _open(path: Path) -> pq.ParquetFile:
    return _guard(path, lambda: pq.ParquetFile(path, memory_map=True))


def _guard(path: Path, step: Any) -> Any:
    try:
        return step()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{path} is damaged or no Parquet file: {error}; download or write it again"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}; check the path and its permissions") from error
