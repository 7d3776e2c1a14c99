"""Passes without gradients, of which each rank makes its part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from autotune.task import Batch
from autotune.training.parallel.ranks import Ranks
from autotune.training.room import Room

T = TypeVar("T")
Found = TypeVar("Found", covariant=True)


class Collect(Protocol[Found]):
    """Makes something of all batches of a pass."""

    def __call__(self, batches: Iterable[Batch], *, n: int) -> Found:
        """Of `n` samples in all."""


def part_of(ranks: Ranks, ids: Tensor, size: int) -> list[Tensor]:
    """This rank's batches of some samples, in order.

    They are cut as one process cuts them, and handed out whole: each sample is in the same batch as there, so
    nothing rounds otherwise.
    """
    batches = torch.split(ids, size)
    return list(batches[ranks.rows(len(batches))])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Rows after rows; those of a single part as they are."""
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))


def scored(room: Room, ids: Tensor, size: int, collect: Collect[T], beat: Callable[[], object]) -> list[T]:
    """What is collected from every rank's batches, in the order of the samples; `beat` is called in reads."""
    mine = part_of(room.ranks, ids, size)
    own = joined(mine) if mine else ids[:0]
    found = [collect(room.samples.batches(own, size, beat), n=len(own))] if mine else []
    return [one for part in room.ranks.gather(found) for one in part]
