"""Encoded images (PNG, JPEG, WebP, ...) as one array of pixels."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from PIL import Image

from autotune.data.columns import Array
from autotune.errors import DataError

BATCH: Final = 512  # images in encoded and decoded form at once, whatever the size of the data set
_TASK: Final = 16
_GREY: Final = frozenset({"1", "L"})
_GREY_KEPT: Final = "L"


def decode(chunks: Iterable[Any], n: int) -> Array:
    """Pixels of n images of one size, uint8, shape (n, channels, height, width).

    Decoded by threads (Pillow releases the interpreter lock), a few hundred at a time. The first image
    decides whether all are grey (1 channel) or colour (3 channels).

    Args:
        chunks: Arrow arrays of `struct<bytes, path>`.
        n: Number of images in all chunks.

    Raises:
        DataError: When an image is missing, cannot be decoded or differs from the first.
    """
    out: Array | None = None
    row = 0
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for encoded in _batches(chunks):
            if out is None:
                first = _pixels(encoded[0], 0, None)
                out = np.empty((n, *first.shape), np.uint8)
            tasks = [(out, row + i, encoded[i : i + _TASK]) for i in range(0, len(encoded), _TASK)]
            for _ in pool.map(_fill, tasks):
                pass  # reading the results raises what a thread raised
            row += len(encoded)
    if out is None:
        raise DataError("there are no images; check the path or filter they came from")
    return out


def _batches(chunks: Iterable[Any]) -> Iterator[list[bytes | None]]:
    for chunk in chunks:
        encoded = chunk.field("bytes")
        for start in range(0, len(encoded), BATCH):
            yield encoded.slice(start, BATCH).to_pylist()


def _fill(task: tuple[Array, int, list[bytes | None]]) -> None:
    out, start, encoded = task
    for row, content in enumerate(encoded, start=start):
        out[row] = _pixels(content, row, out.shape[1:])


def _pixels(content: bytes | None, row: int, shape: tuple[int, ...] | None) -> Array:
    if content is None:
        raise DataError(
            f"image at row id {row} has no bytes (only a path, or nothing); store the file's bytes in the "
            "column"
        )
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would cut all values above 255 off
                raise DataError(
                    f"image at row id {row} has more than 8 bits per pixel (mode {image.mode}); scale such "
                    "images to 8 bits, or give arrays of numbers"
                )
            grey = image.mode in _GREY if shape is None else shape[0] == 1
            if grey and image.mode not in _GREY:
                raise DataError(
                    f"image at row id {row} is in colour, the first is grey; convert them to one mode"
                )
            pixels = np.asarray(image.convert(_GREY_KEPT if grey else "RGB"))
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"image at row id {row} cannot be decoded: {error}; drop or replace it") from error
    found = pixels[None] if grey else pixels.transpose(2, 0, 1)
    if shape is not None and found.shape != shape:
        raise DataError(
            f"image at row id {row} has shape {found.shape}, the first has {shape}; resize them to one size"
        )
    return found
