"""The data set on a device, handed out in batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autotune.data import Dataset
from autotune.data.columns import GROUPS
from autotune.errors import SelectorError
from autotune.task import Batch

Ids = npt.NDArray[np.int64]


class Samples:
    """All samples of a data set; on the CPU they share its memory.

    Args:
        data: The data set; read in place.
        device: Where batches are wanted. Another device than the CPU gets one copy of everything.
        prepare: Raw inputs of a batch to what a model takes.
    """

    def __init__(self, data: Dataset, device: torch.device, prepare: Callable[[Tensor], Tensor]) -> None:
        self.device = device
        self.n = data.n
        self._prepare = prepare
        self._inputs = _tensor(data.inputs).to(device)
        targets = _tensor(data.columns["targets"]) if "targets" in data.columns else torch.empty(data.n, 0)
        self.targets = (targets.float() if targets.is_floating_point() else targets.long()).to(device)
        self._data = data
        self._ones = torch.ones(0, device=device)

    @cached_property
    def groups(self) -> Tensor:
        """The group of each sample, counted from 0 in the order of the column's values, shape (n,).

        Raises:
            SelectorError: When the data has no such column, or one of fractions.
        """
        column = self._data.columns.get(GROUPS)
        if column is None:
            raise SelectorError(
                f"the data has no column {GROUPS!r}, got {', '.join(self._data.columns)}; name the group of "
                f"each sample by data.with_columns({GROUPS}=...), or use selectors that do not need groups"
            )
        if column.dtype.kind not in "bui" or column.ndim != 1:
            raise SelectorError(
                f"column {GROUPS!r} must hold one whole number per sample, got {column.dtype} of shape "
                f"{column.shape}; number the groups with np.unique(groups, return_inverse=True)[1]"
            )
        return torch.from_numpy(np.unique(column, return_inverse=True)[1]).to(self.device)

    def batch(self, ids: Tensor, weights: Tensor | None = None) -> Batch:
        """The samples with these ids (on the device), all alike unless weights are given."""
        if weights is None:
            weights = self.ones(len(ids))
        inputs = self._prepare(self._inputs.index_select(0, ids))
        return Batch(ids, inputs, self.targets.index_select(0, ids), weights)

    def batches(self, ids: Tensor, size: int) -> Iterator[Batch]:
        """The samples with these ids in order, at most `size` at a time."""
        for part in torch.split(ids.to(self.device), size):
            yield self.batch(part)

    def ones(self, n: int) -> Tensor:
        """Weights of n samples that all count the same."""
        if len(self._ones) < n:
            self._ones = torch.ones(n, device=self.device)
        return self._ones[:n]


def as_ids(ids: Ids) -> Tensor:
    """Sample ids as a tensor."""
    return torch.from_numpy(np.array(ids, dtype=np.int64))


def _tensor(values: npt.NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor; torch's warning that it is read-only does not concern us."""
    if values.dtype in (np.uint16, np.uint32, np.uint64):
        values = values.astype(np.int64)  # torch can hardly compute with these
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(values)
