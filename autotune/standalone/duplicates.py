"""Samples that are there more than once: exactly, by their content, and nearly, by their features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from autotune.data.columns import Array, blocks
from autotune.numerics.neighbours import nearest as nearest_neighbours
from autotune.standalone.progress import Progress

BLOCK: Final = 2_048  # rows compared at once


@final
@dataclass(frozen=True)
class Duplicates:
    """How alike samples are, in the order of their ids.

    Attributes:
        first: Position of the first sample with the same content, shape (n,); its own where it is the first.
        nearest: Position of the nearest sample of other content in feature space, shape (n,); -1 where there
            is none.
        distance: How near that is, over the median of all such distances, shape (n,); infinite where there
            is none.
        near: Whether the distance is below the threshold asked for, shape (n,).
    """

    first: Array
    nearest: Array
    distance: Array
    near: Array

    @property
    def exact(self) -> Array:
        """Whether a sample repeats an earlier one, shape (n,)."""
        found: Array = self.first != np.arange(len(self.first))
        return found

    def pairs(self) -> list[tuple[int, int, float]]:
        """Positions of two near duplicates and their distance, the nearest first, without exact copies."""
        near = np.flatnonzero(self.near & ~self.exact & (self.nearest >= 0))
        near = near[np.argsort(self.distance[near], kind="stable")]
        both = np.sort(np.stack([near, self.nearest[near]], 1), axis=1)
        _, first = np.unique(both, axis=0, return_index=True)  # two may be nearest to each other
        kept = np.sort(first)
        return [
            (one, other, d)
            for (one, other), d in zip(both[kept].tolist(), self.distance[near[kept]].tolist(), strict=True)
        ]


def find_duplicates(
    first: Array, features: Tensor, threshold: float, generator: torch.Generator, progress: Progress
) -> Duplicates:
    """Compare all samples, by content and by features.

    Args:
        first: Position of the first sample of the same content, shape (n,); see `first_of_content`.
        features: Shape (n, d); samples with a value that is not finite are near to nobody.
        threshold: Share of the median distance to the nearest sample, below which two are near duplicates.
        generator: Draws what the search for neighbours needs among very many samples.
        progress: Told how far the comparison is.
    """
    n = len(first)
    nearest, distance = np.full(n, -1), np.full(n, np.inf)
    usable = torch.isfinite(features).all(1).numpy()
    distinct = np.flatnonzero((first == np.arange(n)) & usable)
    if len(distinct) > 1:
        points = features[distinct].float()
        found = nearest_neighbours(points, 1, generator, progress=partial(progress.at, "comparing")).ids[:, 0]
        apart = (points - points[found]).norm(dim=1).numpy()  # the search's own distances have lost digits
        nearest[distinct] = distinct[found.numpy()]
        distance[distinct] = apart / max(float(np.median(apart)), np.finfo(np.float32).tiny)
    nearest, distance = nearest[first], distance[first]  # copies are as near to others as their first is
    return Duplicates(first, nearest, distance, distance < threshold)


def first_of_content(rows: Array) -> Array:
    """Position of the first row with the same content, for each row.

    Rows are told apart by a 64-bit hash, and those of one hash are compared in full.

    Args:
        rows: Numbers, shape (n, ...).

    Returns:
        Shape (n,), int64; a row's own position where it is the first.
    """
    n = len(rows)
    flat = rows.reshape(n, -1)
    hashes = np.concatenate([_hash(block) for _, block in blocks(flat)])
    order = np.argsort(hashes, kind="stable")  # rows of one hash stay in their order
    starts = np.ones(n, bool)
    starts[1:] = hashes[order][1:] != hashes[order][:-1]
    first = np.empty(n, np.int64)
    first[order] = order[np.flatnonzero(starts)[np.cumsum(starts) - 1]]
    doubtful = np.flatnonzero(first != np.arange(n))
    for start in range(0, len(doubtful), BLOCK):
        part = doubtful[start : start + BLOCK]
        differ = (flat[part] != flat[first[part]]).any(1)
        first[part[differ]] = part[differ]  # two contents of one hash
    return first


def _hash(block: Array) -> Array:
    """A 64-bit hash of each row: its words, weighted by fixed odd numbers, summed modulo 2**64."""
    if block.dtype.kind == "f":
        block = block + 0.0  # a negative zero equals a positive one
    raw = np.ascontiguousarray(block).view(np.uint8)
    padded = np.zeros((len(raw), -(-raw.shape[1] // 4) * 4), np.uint8)
    padded[:, : raw.shape[1]] = raw
    words = padded.view(np.uint32).astype(np.uint64)
    weights = np.random.default_rng(0).integers(2**64, size=words.shape[1], dtype=np.uint64)
    found: Array = words @ (weights | np.uint64(1))
    return found
