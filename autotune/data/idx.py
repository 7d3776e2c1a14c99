"""IDX files, the format of MNIST and Fashion-MNIST, gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Final

import numpy as np

from autotune.data.columns import INPUTS, OFFICIAL_TEST, TARGETS, Array, Columns, class_ids
from autotune.data.files import neighbours
from autotune.errors import DataError, StorageError

_TYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES: Final = "{part}-images-idx3-ubyte"
_LABELS: Final = "{part}-labels-idx1-ubyte"


def read(directory: Path) -> Columns:
    """Training rows first, then those of `t10k`, which is the official test part if present.

    Images get a channel axis: (n, 1, height, width).

    Raises:
        StorageError: When a file cannot be read.
        DataError: When a file is missing or damaged, or labels and images do not match.
    """
    parts = [_part(directory, "train")]
    if _path(directory, _IMAGES.format(part="t10k")) is not None:
        parts.append(_part(directory, "t10k"))
    if len({images.shape[1:] for images, _ in parts}) > 1:
        raise DataError(
            f"{directory}: train and t10k images differ in size, got {[i.shape for i, _ in parts]}"
        )
    sizes = [len(labels) for _, labels in parts]
    labels = class_ids(np.concatenate([labels for _, labels in parts]))
    images = np.concatenate([images for images, _ in parts]) if len(parts) > 1 else parts[0][0]
    arrays = {INPUTS: images[:, None], TARGETS: labels.arrays[TARGETS]}
    if len(parts) > 1:
        arrays[OFFICIAL_TEST] = np.arange(sum(sizes)) >= sizes[0]
    return Columns(arrays, labels.names)


def read_file(path: Path) -> Array:
    """One array, of the shape and type that its header declares.

    Raises:
        StorageError: When the file cannot be opened.
        DataError: When it is no IDX file, is truncated or has surplus bytes.
    """
    try:
        with path.open("rb") as raw:
            if path.suffix != ".gz":
                return _array(raw, path)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _array(stream, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated or no gzip file: {error}; download it again") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}; check the path and its permissions") from error


def _array(stream: BufferedIOBase, path: Path) -> Array:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not magic[3]:
        raise DataError(
            f"{path} is no IDX file: it starts with {magic.hex() or 'nothing'}, expected 0000, a type and a "
            "number "
            "of dimensions; download it again"
        )
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError(f"{path} is truncated in its header; download it again")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    dtype = np.dtype(_TYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    try:
        flat = np.empty(expected, np.uint8)
    except (MemoryError, ValueError) as error:
        raise DataError(
            f"{path} declares shape {shape}, {expected} bytes, which do not fit; is it damaged?"
        ) from error
    view, done = flat.data, 0
    while done < expected:
        got = stream.readinto(view[done : done + (1 << 20)])
        if not got:
            raise DataError(
                f"{path} is truncated: {done} of {expected} bytes of shape {shape}; download it again"
            )
        done += got
    if stream.read(1):
        raise DataError(f"{path} has more bytes than its shape {shape} needs; download it again")
    values = flat.view(dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _part(directory: Path, part: str) -> tuple[Array, Array]:
    found = {}
    for name in (_IMAGES.format(part=part), _LABELS.format(part=part)):
        path = _path(directory, name)
        if path is None:
            raise DataError(f"{directory / name}[.gz] does not exist; {neighbours(directory)}")
        found[name] = read_file(path)
    images, labels = found.values()
    if images.ndim != 3 or labels.ndim != 1:
        raise DataError(
            f"{directory}: {part} images must have 3 dimensions and labels 1, got {images.ndim} and "
            f"{labels.ndim}; "
            "are the files swapped?"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{directory}: {part} has {len(images)} images but {len(labels)} labels; download them again"
        )
    return images, labels


def _path(directory: Path, name: str) -> Path | None:
    return next((path for path in (directory / f"{name}.gz", directory / name) if path.is_file()), None)
