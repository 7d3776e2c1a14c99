"""Values of many samples by one model, and work on parts: here, or wherever a spread takes them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, final

import numpy as np
import torch
from torch import Tensor, nn

from autotune.data import Dataset
from autotune.data.columns import Array
from autotune.data.shards.inputs import ShardedInputs
from autotune.signals import Signal
from autotune.task import Batch, prepare_inputs
from autotune.training.buffer import RowBuffer
from autotune.training.collect import Collector
from autotune.training.device import find_device
from autotune.training.gradients import GradientCollector
from autotune.training.samples import Samples
from autotune.training.statics import encoded

BATCH: Final = 256  # samples that a model is given at once
ITEM: Final = 1 << 16  # samples of an item of data in memory
P = TypeVar("P")
R = TypeVar("R")


class Compute(Protocol):
    """What is computed of the samples of an item; picklable."""

    def __call__(self, batches: Iterable[Batch], n: int, device: torch.device) -> Mapping[Signal, Tensor]:
        """Values by signal, one row for each of n samples, on the CPU; its model moves to the device."""


@final
@dataclass(frozen=True)
class Encoding:
    """Features by a frozen encoder.

    Attributes:
        encoder: From prepared inputs to one row per sample.
    """

    encoder: nn.Module

    def __call__(self, batches: Iterable[Batch], n: int, device: torch.device) -> dict[Signal, Tensor]:
        """Features, shape (n, d), float32."""
        encoder, kept = self.encoder.to(device), RowBuffer(n)
        for batch in batches:
            kept.add(encoded(encoder, batch))
        return {Signal.FEATURES: kept.rows}


@final
@dataclass(frozen=True)
class Collecting:
    """Signals of a trained model.

    Attributes:
        collector: The model, and the losses that it was trained by.
        signals: Of a forward pass.
    """

    collector: Collector
    signals: frozenset[Signal]

    def __call__(self, batches: Iterable[Batch], n: int, device: torch.device) -> dict[Signal, Tensor]:
        """Each signal of the samples."""
        self.collector.model.to(device)
        return self.collector.collect(batches, self.signals, lambda: None, n)


@final
@dataclass(frozen=True)
class Projecting:
    """Projected gradients by a trained model.

    Attributes:
        collector: The model, the losses that it was trained by, and the projection.
        signal: What they are, with that optimizer.
        optimizer: Of that model; None divides by nothing.
    """

    collector: GradientCollector
    signal: Signal
    optimizer: torch.optim.Optimizer | None = None

    def __call__(self, batches: Iterable[Batch], n: int, device: torch.device) -> dict[Signal, Tensor]:
        """The gradients of the samples, shape (n, width), float32."""
        self.collector.model.to(device)
        return {self.signal: self.collector.collect(batches, lambda: None, self.optimizer, n)[0]}


@final
@dataclass(frozen=True)
class Passing:
    """A pass of a model over some samples of a data set, in items that can be done anywhere in any order.

    An item is what a row group holds of them, so that a group is decoded by one worker. Batches never span
    items: the values are the same wherever an item is done, to the bit on machines of one kind.

    Attributes:
        compute: What is computed.
        data: The data set.
        rows: Ids of the samples, sorted.
        device: `auto`, or a torch device.
    """

    compute: Compute
    data: Dataset
    rows: Array
    device: str = "cpu"

    @property
    def items(self) -> list[tuple[int, int]]:
        """Positions in `rows` where each item begins and ends."""
        inputs: object = self.data.inputs
        of = inputs.layout.group_of(self.rows) if isinstance(inputs, ShardedInputs) else self.rows // ITEM
        cuts = np.flatnonzero(np.diff(of, prepend=-1)).tolist()
        return list(zip(cuts, [*cuts[1:], len(self.rows)], strict=True))

    def opened(self) -> Callable[[int, int], dict[str, Array]]:
        """What a worker does with an item: the ids, as `id`, and values by signal."""
        samples = Samples(self.data, find_device(self.device), prepare_inputs)

        def done(begin: int, end: int) -> dict[str, Array]:
            ids = torch.from_numpy(self.rows[begin:end])
            values = self.compute(samples.batches(ids, BATCH), len(ids), samples.device)
            return {"id": self.rows[begin:end]} | {name.value: own.numpy() for name, own in values.items()}

        return done


class Spread(Protocol):
    """Where work is done that falls into parts."""

    def passed(self, passing: Passing) -> Iterator[Mapping[str, Array]]:
        """The answers of a pass's items, in any order."""

    def map(self, function: Callable[[P], R], parts: Iterable[P]) -> Iterable[R]:
        """The answers of a function, in the order of the parts."""


@final
@dataclass(frozen=True)
class Here:
    """One item after another, in this process."""

    def passed(self, passing: Passing) -> Iterator[Mapping[str, Array]]:
        """In their order."""
        done = passing.opened()
        return (done(begin, end) for begin, end in passing.items)

    def map(self, function: Callable[[P], R], parts: Iterable[P]) -> Iterable[R]:
        """One at a time."""
        return map(function, parts)


def on_disk(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array in a file that has no name, and is gone when nobody maps it any more."""
    with tempfile.TemporaryFile(prefix="autotune-values-") as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def values_of(
    passing: Passing,
    spread: Spread,
    beat: Callable[[float], object],
    place: Callable[[tuple[int, ...], np.dtype[Any]], Array],
) -> dict[Signal, Array]:
    """The values of a pass in the order of its rows.

    Args:
        passing: The pass.
        spread: Where it is done.
        beat: Told the share that is done.
        place: Makes an array of a shape and type to put values in: `numpy.empty`, or `on_disk`.

    Raises:
        SelectorError: When the model does not give what was asked for.
    """
    found: dict[Signal, Array] = {}
    done = 0
    for answer in spread.passed(passing):
        where = np.searchsorted(passing.rows, answer["id"])
        for name in answer.keys() - {"id"}:
            values = answer[name]
            if name not in found:
                found[Signal(name)] = place((len(passing.rows), *values.shape[1:]), values.dtype)
            found[Signal(name)][where] = values
        done += len(where)
        beat(done / len(passing.rows))
    return found
