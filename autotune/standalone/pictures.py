"""Samples as a page shows them: images as small pictures, everything else as words."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
from PIL import Image

from autotune.data import Dataset
from autotune.data.columns import Array
from autotune.report.charts.svg import Markup, escape, tag
from autotune.report.numbers import number

Describe: TypeAlias = Callable[[Array], list[str]]  # ids to one text each

SIDE: Final = 96  # pixels of a picture, at most
SMALL: Final = 48  # up to this side pixels are shown as squares
VALUES: Final = 24  # of a row of numbers that are shown
LETTERS: Final = 400


def is_image(data: Dataset) -> bool:
    """Whether the inputs are pictures: (n, height, width), or (n, 1 or 3 channels, height, width)."""
    shape = data.inputs.shape
    return (len(shape) == 4 and shape[1] in (1, 3)) or len(shape) == 3


def shown(data: Dataset, ids: Array, describe: Describe | None) -> Mapping[int, Markup]:
    """Each of some samples as markup, by id.

    Args:
        data: What they are of.
        ids: Row numbers, distinct.
        describe: Texts of samples that are no images; their input values when None.
    """
    if is_image(data):
        return {int(i): _picture(pixels, int(i)) for i, pixels in zip(ids, _pixels(data, ids), strict=True)}
    texts = describe(ids) if describe is not None else [_values(row) for row in data.inputs[ids]]
    return {int(i): tag("blockquote", escape(text[:LETTERS])) for i, text in zip(ids, texts, strict=True)}


def _pixels(data: Dataset, ids: Array) -> Array:
    """Bytes, shape (k, height, width) or (k, height, width, 3)."""
    found = data.inputs[ids]
    if found.ndim == 4:
        found = found[:, 0] if found.shape[1] == 1 else found.transpose(0, 2, 3, 1)
    if found.dtype == np.uint8 or not len(found):
        return found
    low, high = (0.0, 1.0) if found.min() >= 0 and found.max() <= 1 else (found.min(), found.max())
    scaled = (found - low) * (255 / max(float(high - low), 1e-12))
    return scaled.astype(np.uint8)


def _picture(pixels: Array, sample: int) -> Markup:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    small = max(image.size) <= SMALL
    image.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    return tag("img", src=source, alt=f"sample {sample}", class_="small" if small else None)


def _values(row: Array) -> str:
    flat = row.reshape(-1)
    more = ", …" if len(flat) > VALUES else ""
    return ", ".join(number(float(value)) for value in flat[:VALUES]) + more
