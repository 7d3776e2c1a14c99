"""One Arrow IPC file per data set, mapped on open: every process of a node reads the same pages."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from autotune.data.columns import Array
from autotune.errors import DataError, StorageError

FORMAT: Final = 1
_META: Final = b"autotune"


def save(path: Path, bulk: Mapping[str, Array], meta: Mapping[str, Any]) -> Path:
    """Write columns as one uncompressed record batch; a crash leaves no half-written file at `path`.

    Raises:
        StorageError: When the path cannot be written.
    """
    shapes = {name: [values.dtype.str, list(values.shape)] for name, values in bulk.items()}
    header = json.dumps({"format": FORMAT, "columns": shapes, "meta": dict(meta)}, sort_keys=True)
    batch = pa.RecordBatch.from_arrays([_to_arrow(values) for values in bulk.values()], names=list(bulk))
    schema = batch.schema.with_metadata({_META: header.encode()})
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            with pa.ipc.new_file(file, schema) as writer:
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise StorageError(f"cannot write the data set to {path}: {error}; choose a writable path") from error
    return path


def load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Map a saved file; the arrays are read-only views of it.

    Raises:
        StorageError: When the file cannot be read.
        DataError: When it is damaged, foreign or of a newer format.
    """
    try:
        source = pa.memory_map(str(path))
    except OSError as error:
        raise StorageError(
            f"cannot read the data set {path}: {error}; expected a file of Dataset.save"
        ) from error
    try:
        rows = pa.ipc.open_file(source).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} is damaged or no Arrow file: {error}; write it again with Dataset.save"
        ) from error
    metadata = rows.schema.metadata or {}
    if _META not in metadata:
        raise DataError(f"{path} was not written by Dataset.save; read it with Dataset.from_table instead")
    header = json.loads(metadata[_META])
    if header["format"] > FORMAT:
        raise DataError(
            f"{path} has format {header['format']}, this version reads up to {FORMAT}; update autotune"
        )
    bulk = {
        name: _from_arrow(rows.column(name).chunk(0), np.dtype(dtype), shape)
        for name, (dtype, shape) in header["columns"].items()
    }
    return bulk, header["meta"]


def _to_arrow(values: Array) -> Any:
    """A view of the array as Arrow; booleans go as bytes: Arrow's are bits and could not be mapped."""
    flat = np.ascontiguousarray(values).reshape(-1)
    flat = flat.view(np.uint8) if flat.dtype == np.bool_ else flat
    column = pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(flat)])
    if values.ndim == 1:
        return column
    return pa.FixedSizeListArray.from_arrays(column, math.prod(values.shape[1:]))


def _from_arrow(column: Any, dtype: np.dtype[Any], shape: list[int]) -> Array:
    values = column.values if pa.types.is_fixed_size_list(column.type) else column
    flat: Array = values.to_numpy(zero_copy_only=True)
    return flat.view(dtype).reshape(shape)
