"""Inputs of samples by their ids: from memory, or from shards, of which what comes next is kept together."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autotune.data.shards.inputs import ShardedInputs
from autotune.data.shards.order import windows

Beat = Callable[[], object]
PACKS: Final = 2  # a batch may begin in one window and end in the next


class Rows(ABC):
    """Inputs of all samples, as a device wants them."""

    @abstractmethod
    def take(self, ids: Tensor) -> Tensor:
        """Inputs of the samples with these ids, in their order."""

    @abstractmethod
    def near(self, ids: Tensor, beat: Beat) -> Rows:
        """The same inputs, those of some samples near at hand."""

    @abstractmethod
    def windows(self, ids: Tensor, generator: torch.Generator) -> list[Tensor]:
        """A random order of some samples, as positions in `ids`; each window is to be near in its turn."""

    @abstractmethod
    def passing(self, ids: Tensor, size: int, beat: Beat) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids and inputs of some samples in their order, at most `size` at a time."""


@final
class Held(Rows):
    """Inputs in memory.

    Args:
        inputs: All of them: on the device, or where they do not fit there, in main memory.
        device: Where they are wanted.
    """

    def __init__(self, inputs: Tensor, device: torch.device) -> None:
        self._inputs, self._device = inputs, device

    def take(self, ids: Tensor) -> Tensor:
        """A look into memory; what is not on the device is copied there."""
        return self._inputs.index_select(0, ids.to(self._inputs.device)).to(self._device)

    def near(self, ids: Tensor, beat: Beat) -> Rows:
        """Itself."""
        return self

    def windows(self, ids: Tensor, generator: torch.Generator) -> list[Tensor]:
        """One window, shuffled."""
        return [torch.randperm(len(ids), generator=generator)]

    def passing(self, ids: Tensor, size: int, beat: Beat) -> Iterator[tuple[Tensor, Tensor]]:
        """As they come."""
        for part in torch.split(ids, size):
            yield part, self.take(part)


@final
class Staged(Rows):
    """Inputs in shards; what is not near is read from them.

    Args:
        inputs: The shards.
        device: Where they are wanted.
        packs: Sorted ids, and their rows, that are near.
    """

    def __init__(
        self,
        inputs: ShardedInputs,
        device: torch.device,
        packs: tuple[tuple[npt.NDArray[np.int64], npt.NDArray[Any]], ...] = (),
    ) -> None:
        self._inputs, self._device, self._packs = inputs, device, packs

    def take(self, ids: Tensor) -> Tensor:
        """From what is near; the rest from the shards."""
        wanted = ids.cpu().numpy()
        left = np.ones(len(wanted), bool)
        out = np.empty((len(wanted), *self._inputs.row), self._inputs.dtype)
        for known, rows in self._packs:
            where = np.searchsorted(known, wanted).clip(max=len(known) - 1)
            here = left & (known[where] == wanted)
            out[here] = rows[where[here]]
            left &= ~here
        if left.any():
            out[left] = self._inputs[wanted[left]]
        return tensor(out).to(self._device)

    def near(self, ids: Tensor, beat: Beat) -> Rows:
        """Packed together on the node's disk, beside the pack that was asked for before."""
        known = np.unique(ids.cpu().numpy())
        packs = (*self._packs, (known, self._inputs.packed(known, beat)))
        return Staged(self._inputs, self._device, packs[-PACKS:])

    def windows(self, ids: Tensor, generator: torch.Generator) -> list[Tensor]:
        """As many samples to a window as the node's disk has room for."""
        return windows(ids, self._inputs.window, self._inputs.layout.group_of, generator)

    def passing(self, ids: Tensor, size: int, beat: Beat) -> Iterator[tuple[Tensor, Tensor]]:
        """Straight from the shards where ids are sorted and dense; else packed, window after window."""
        plain = ids.cpu().numpy()
        if not len(plain):
            yield ids, self.take(ids)
            return
        if (np.diff(plain) > 0).all() and not self._inputs.sparse(plain):
            parts = torch.split(ids, size)
            blocks = rebatched(self._inputs.gather(plain, beat), size)
            for part, block in zip(parts, blocks, strict=True):
                yield part, tensor(block).to(self._device)
            return
        for window in torch.split(ids, size * max(1, self._inputs.window // size)):
            near = self.near(window, beat)
            for part in torch.split(window, size):
                yield part, near.take(part)


def rebatched(blocks: Iterator[npt.NDArray[Any]], size: int) -> Iterator[npt.NDArray[Any]]:
    """The same rows in blocks of `size`, the last one maybe smaller."""
    held: list[npt.NDArray[Any]] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= size:
            rows = np.concatenate(held)
            for start in range(0, count - size + 1, size):
                yield rows[start : start + size]
            rest = rows[count - count % size :]
            held, count = [rest], len(rest)
    if count:
        yield np.concatenate(held)


def tensor(values: npt.NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor; torch's warning that it is read-only does not concern us."""
    if values.dtype in (np.uint16, np.uint32, np.uint64):
        values = values.astype(np.int64)  # torch can hardly compute with these
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(values)
