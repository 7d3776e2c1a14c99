"""The data set on a device, handed out in batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autotune.data import Dataset
from autotune.data.columns import GROUPS
from autotune.data.shards.inputs import ShardedInputs
from autotune.errors import SelectorError
from autotune.task import Batch
from autotune.training.device import fits
from autotune.training.rows import Held, Rows, Staged, tensor

Ids = npt.NDArray[np.int64]


class Samples:
    """All samples of a data set; on the CPU they share its memory, unless they stay in their shards.

    Args:
        data: The data set; read in place.
        device: Where batches are wanted. A GPU gets one copy of what is in memory, unless that takes more
            than a third of its own that is free: then each batch is copied there.
        prepare: Raw inputs of a batch to what a model takes.
    """

    def __init__(self, data: Dataset, device: torch.device, prepare: Callable[[Tensor], Tensor]) -> None:
        self.device = device
        self.n = data.n
        self._prepare = prepare
        inputs: object = data.inputs
        self._rows: Rows
        if isinstance(inputs, ShardedInputs):
            self._rows = Staged(inputs, device)
        else:
            held = tensor(data.inputs)
            self._rows = Held(held.to(device) if fits(held.nbytes, device) else held, device)
        targets = tensor(data.columns["targets"]) if "targets" in data.columns else torch.empty(data.n, 0)
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
        return self._batch(ids, self._rows.take(ids), weights)

    def batches(self, ids: Tensor, size: int, beat: Callable[[], object] = lambda: None) -> Iterator[Batch]:
        """The samples with these ids in order, at most `size` at a time; `beat` is called between reads."""
        for part, inputs in self._rows.passing(ids.to(self.device), size, beat):
            yield self._batch(part, inputs, self.ones(len(part)))

    def windows(self, ids: Tensor, generator: torch.Generator) -> list[Tensor]:
        """A random order of some samples, as positions in `ids`, in windows: see `near`."""
        return self._rows.windows(ids, generator)

    def near(self, ids: Tensor, beat: Callable[[], object]) -> Samples:
        """The same samples, with those of a window near at hand: each read of them is then cheap."""
        other = copy.copy(self)
        other._rows = self._rows.near(ids, beat)
        return other

    def _batch(self, ids: Tensor, inputs: Tensor, weights: Tensor) -> Batch:
        return Batch(ids, self._prepare(inputs), self.targets.index_select(0, ids), weights)

    def ones(self, n: int) -> Tensor:
        """Weights of n samples that all count the same."""
        if len(self._ones) < n:
            self._ones = torch.ones(n, device=self.device)
        return self._ones[:n]


def as_ids(ids: Ids) -> Tensor:
    """Sample ids as a tensor."""
    return torch.from_numpy(np.array(ids, dtype=np.int64))
