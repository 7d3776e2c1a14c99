"""Files that are whole or absent, and errors that say which path to change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from autotune.data.columns import Array
from autotune.errors import ConfigurationError, DataError, StorageError
from autotune.folders import replacing

WRITERS: Final[dict[str, Callable[[pa.Table, Path], None]]] = {
    ".parquet": pyarrow.parquet.write_table,
    ".csv": pyarrow.csv.write_csv,
}


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse to write over what is there, unless that is wanted.

    Raises:
        ConfigurationError: When something is there.
    """
    if path.exists() and not overwrite:
        raise ConfigurationError(f"{path} is there already; give another --out, or --overwrite")


def check_table_path(path: str | Path) -> Path:
    """A path that a table can be written to.

    Raises:
        ConfigurationError: When its suffix is of no known format.
        StorageError: When its folder cannot be made.
    """
    target = Path(path)
    if target.suffix not in WRITERS:
        raise ConfigurationError(
            f"{target} must end in {' or '.join(WRITERS)}, got {target.suffix or 'nothing'}"
        )
    make_folder(target.parent)
    return target


def make_folder(path: Path) -> None:
    """Make a folder where there is none.

    Raises:
        StorageError: When that is impossible, or it cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write to {path}: {error.strerror}; choose another --out") from error
    if not os.access(path, os.W_OK):
        raise StorageError(f"cannot write to {path}: permission denied; choose another --out")


def write_table(table: pa.Table, facts: Mapping[str, Any], path: str | Path) -> Path:
    """Write a table in the format that the suffix names; a reader never sees half of it.

    Args:
        table: Rows.
        facts: Where they come from, as plain JSON values; the metadata of a Parquet file keeps them.
        path: The file.

    Raises:
        ConfigurationError: When the suffix is of no known format.
        StorageError: When the file cannot be written.
    """
    target = check_table_path(path)
    with replacing(target, "choose another --out") as half:
        WRITERS[target.suffix](table.replace_schema_metadata({"autotune": json.dumps(dict(facts))}), half)
    return target


def read_array(path: str | Path) -> Array:
    """An array that numpy saved, mapped into memory; nothing is unpickled.

    Raises:
        StorageError: When the file cannot be read.
        DataError: When it is not there, or no such array.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is no array of numbers that numpy saved: {error}; use numpy.save") from error
    if not isinstance(found, np.ndarray):
        raise DataError(f"{path} holds several arrays; save the one that is meant with numpy.save")
    return found
