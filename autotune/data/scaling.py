"""Scaling of inputs, from chosen rows only."""

from __future__ import annotations

import numpy as np

from autotune.data.columns import INPUTS, Array
from autotune.data.dataset import Dataset
from autotune.errors import DataError


def standardise(data: Dataset, rows: Array) -> Dataset:
    """Shift and scale every feature to mean 0 and variance 1 over `rows`, such as `splits.train`.

    Sample ids, and so splits, stay valid. A feature that is constant over `rows` is only shifted.

    Raises:
        DataError: When inputs are not a table of numbers or `rows` is empty.
    """
    if data.inputs.ndim != 2 or len(rows) == 0:
        raise DataError(
            "inputs must have shape (n, features) and rows must not be empty, got inputs "
            f"{data.inputs.shape} and "
            f"{len(rows)} rows; scale images in the model"
        )
    seen = data.inputs[rows].astype(np.float64)
    mean, spread = seen.mean(axis=0), seen.std(axis=0)
    spread[spread < 1e-12] = 1.0
    inputs = ((data.inputs - mean) / spread).astype(np.float32)
    return data.with_columns(**{INPUTS: inputs})
