"""From a torch data set: every sample is read once, into arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from autotune.data.columns import INPUTS, TARGETS, Array, Columns
from autotune.errors import DataError


def read(dataset: Dataset[Any]) -> Columns:
    """Inputs and targets of a map-style data set whose samples are (input, target) pairs of equal shapes.

    Random transforms are applied once, here; put augmentation into the model instead.

    Raises:
        DataError: When the data set is iterable-style, empty, or a sample does not fit the first.
    """
    if isinstance(dataset, TensorDataset):
        return _tensors(dataset.tensors)
    if isinstance(dataset, IterableDataset) or not callable(getattr(dataset, "__len__", None)):
        raise DataError(
            f"{type(dataset).__name__} has no fixed rows; give a map-style data set (with __len__ and "
            "__getitem__)"
        )
    n = len(dataset)  # type: ignore[arg-type]  # checked above
    if n == 0:
        raise DataError(f"{type(dataset).__name__} is empty; check the path or filter it was built with")
    samples = _samples(dataset, n)
    first_input, first_target = next(samples)
    inputs = np.empty((n, *first_input.shape), first_input.dtype)
    targets = np.empty((n, *first_target.shape), first_target.dtype)
    inputs[0], targets[0] = first_input, first_target
    for row, (given, target) in enumerate(samples, start=1):
        for what, value, column in (("input", given, inputs), ("target", target, targets)):
            if value.shape != column.shape[1:] or not np.can_cast(value.dtype, column.dtype, "same_kind"):
                raise DataError(
                    f"sample {row}: {what} must be {column.dtype} of shape {column.shape[1:]} like sample 0, "
                    "got "
                    f"{value.dtype} of shape {value.shape}; resize or pad in the data set's transform"
                )
        inputs[row], targets[row] = given, target
    return Columns({INPUTS: inputs, TARGETS: targets})


def _tensors(tensors: tuple[torch.Tensor, ...]) -> Columns:
    if len(tensors) > 2:
        raise DataError(
            f"samples must be (input, target) pairs, got {len(tensors)} tensors; use Dataset.from_arrays"
        )
    return Columns({name: _array(t, 0) for name, t in zip((INPUTS, TARGETS), tensors, strict=False)})


def _samples(dataset: Dataset[Any], n: int) -> Iterator[tuple[Array, Array]]:
    for row in range(n):
        sample = dataset[row]
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise DataError(
                f"sample {row} must be an (input, target) pair, got {type(sample).__name__}; wrap the data "
                "set, or "
                "use Dataset.from_arrays"
            )
        yield _array(sample[0], row), _array(sample[1], row)


def _array(value: Any, row: int) -> Array:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.dtype.kind not in "buif":
        raise DataError(
            f"sample {row} must hold tensors, arrays or numbers, got {type(value).__name__}; convert it"
        )
    return array
