"""CSV files, with or without a header line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from autotune.data.columns import Columns
from autotune.data.features import is_string
from autotune.data.files import Source, find
from autotune.data.table import Roles, assemble, read_inputs
from autotune.data.text import HashingTokenizer
from autotune.errors import DataError, StorageError

SUFFIXES: Final = (".csv",)
_MISSING: Final = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL")
_NUMBER: Final = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)\s*")
_MOST_BLOCK: Final = 1 << 30


def read(source: Source, roles: Roles, header: Sequence[str] | None, tokenizer: HashingTokenizer) -> Columns:
    """Inputs, targets and kept columns; `?`, `NA`, `NaN`, `null` and empty fields are missing values.

    Of several files, those with `test` in their name are the official test part.

    Raises:
        StorageError: When a file cannot be read.
        DataError: When a file is missing or no table, or its columns do not fit the roles.
    """
    files = find(source, SUFFIXES)
    groups = [group for group in (files.train, files.test) if group]
    tables = [_concatenate([read_file(path, header) for path in group]) for group in groups]
    names = roles.input_names(tables[0].schema)
    return assemble(tables, read_inputs(tables, names, tokenizer), roles)


def read_file(path: Path, header: Sequence[str] | None = None) -> pa.Table:
    """One file as a table; text is stripped of surrounding blanks."""
    try:
        # Types are inferred from the first block: let it be the file, or a late "1.5" breaks whole numbers.
        block = min(max(path.stat().st_size + 1, 1 << 16), _MOST_BLOCK)
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=header, block_size=block),
            convert_options=csv.ConvertOptions(
                null_values=[*_MISSING, *(f" {text}" for text in _MISSING)], strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        expected = f"{len(header)} columns as in header=" if header else "a header line and one row per line"
        raise DataError(f"{path} is no CSV table: {error}; expected {expected}") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}; check the path and its permissions") from error
    try:
        names = [name.strip() for name in table.column_names]
    except UnicodeDecodeError as error:
        raise DataError(f"the column names of {path} are not UTF-8; save it as UTF-8") from error
    if header is None and any(_NUMBER.fullmatch(name) for name in names):
        raise DataError(
            f"the first line of {path} looks like data: {names[:6]}; name the columns with header=[...]"
        )
    table = table.rename_columns(names)
    for position, field in enumerate(table.schema):
        if is_string(field.type):
            table = table.set_column(position, field.name, pc.utf8_trim_whitespace(table.column(position)))
    return table


def _concatenate(tables: list[pa.Table]) -> pa.Table:
    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"the CSV files' columns do not match: {error}; write them alike") from error
