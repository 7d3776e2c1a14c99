"""How alike samples are: kernels over their features, computed in blocks when asked for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from autotune.errors import SelectorError, unknown

Index = Tensor | slice
ALL: Final = slice(None)
BLOCK_BYTES: Final = 2**26  # of one block of similarities: large enough for fast products
ROUNDING: Final = 1e-5  # squared distances below this share of the squared norms are float32 rounding


class Kernel(StrEnum):
    """What alike means; every kernel is non-negative, and largest between a sample and itself."""

    COSINE = "cosine"  # (1 + cosine) / 2, in [0, 1]; a zero vector is half like everything
    RBF = "rbf"  # exp(-squared distance / mean squared distance), in (0, 1]
    EUCLIDEAN = "euclidean"  # twice the largest distance from the mean, less the distance


class Similarities(ABC):
    """Non-negative similarities of candidates (rows) and the points that they may cover (columns).

    Subclass it to give similarities of your own; `FeatureSimilarities` are those of a kernel.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """How many candidates and points there are."""

    @abstractmethod
    def block(self, candidates: Index, points: Index) -> Tensor:
        """A new tensor of the similarities of some candidates and some points, floating point."""


@final
@dataclass(frozen=True)
class FeatureSimilarities(Similarities):
    """Similarities by a kernel; `similarities` builds them.

    Attributes:
        kernel: Which one.
        rows: Features of the candidates as the kernel wants them, float32 or float64, shape (c, d).
        columns: The same of the points, shape (m, d); the same tensor where samples cover each other.
        scale: What the kernel divides by, or subtracts from.
    """

    kernel: Kernel
    rows: Tensor
    columns: Tensor
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """How many candidates and points there are."""
        return len(self.rows), len(self.columns)

    def block(self, candidates: Index, points: Index) -> Tensor:
        """Similarities of some candidates and some points, shape (b, p)."""
        rows, columns = self.rows[candidates], self.columns[points]
        if self.kernel is Kernel.COSINE:
            return rows @ columns.T
        sizes, others = rows.square().sum(1), columns.square().sum(1)
        squared = torch.addmm(others, rows, columns.T, alpha=-2.0).add_(sizes[:, None])
        squared.masked_fill_(squared < ROUNDING * sizes[:, None], 0.0)
        return self.at(squared)

    def at(self, squared: Tensor) -> Tensor:
        """Similarities at some squared distances between rows of features; the distances are overwritten."""
        if self.kernel is Kernel.COSINE:
            return squared.mul_(-0.5).add_(1.0)
        if self.kernel is Kernel.RBF:
            return squared.mul_(-1.0 / self.scale).exp_()
        return squared.sqrt_().neg_().add_(self.scale).clamp_min_(0.0)


def similarities(features: Tensor, kernel: str = Kernel.COSINE.value) -> FeatureSimilarities:
    """Every sample may cover every sample.

    Args:
        features: Finite, shape (n, d); float64 stays float64, all else becomes float32.
        kernel: A name in `Kernel`.

    Raises:
        SelectorError: When the kernel is unknown.
    """
    chosen = checked(kernel)
    points = features if features.dtype == torch.float64 else features.float()
    points = points * 2.0 ** -max(-126, math.frexp(float(points.abs().max()))[1])  # rounds nothing
    if chosen is Kernel.COSINE:  # a constant feature makes the product (1 + cosine) / 2
        points = normalize(points, eps=1e-30)
        if bool((blank := ~points.any(1)).any()):  # of no direction: alike, and half like all others
            points = pad(points, (0, 1))
            points[blank, -1] = 1.0
        points = pad(points, (0, 1), value=1.0).mul_(math.sqrt(0.5))
        return FeatureSimilarities(chosen, points, points, 1.0)
    points = points - points.mean(0, dtype=torch.float64).to(points.dtype)
    squared = points.square().sum(1).double()
    scale = 2 * float(squared.mean()) if chosen is Kernel.RBF else 2 * math.sqrt(float(squared.max()))
    return FeatureSimilarities(chosen, points, points, scale or 1.0)


def checked(kernel: str) -> Kernel:
    """The kernel of a name.

    Raises:
        SelectorError: When it is unknown.
    """
    known = [each.value for each in Kernel]
    if kernel not in known:
        raise SelectorError(unknown("kernel", str(kernel), known))
    return Kernel(kernel)


def restricted(given: FeatureSimilarities, candidates: Tensor) -> FeatureSimilarities:
    """Only some may be picked, all are to be covered."""
    return FeatureSimilarities(given.kernel, given.rows[candidates], given.columns, given.scale)


def blocks(given: Similarities) -> Iterator[tuple[slice, Tensor]]:
    """All similarities, some candidates at a time."""
    candidates, points = given.shape
    for rows in _slices(candidates, BLOCK_BYTES // (4 * points)):
        yield rows, given.block(rows, ALL)


def totals(given: Similarities) -> Tensor:
    """The sum of each candidate's similarities to all points, shape (c,)."""
    if isinstance(given, FeatureSimilarities) and given.kernel is Kernel.COSINE:
        return given.rows @ given.columns.sum(0, dtype=torch.float64).to(given.rows.dtype)
    return torch.cat([block.sum(1) for _, block in blocks(given)])


def matrix(given: Similarities) -> Tensor:
    """All similarities at once, shape (c, m); half of the work where samples cover each other."""
    if not (isinstance(given, FeatureSimilarities) and given.rows is given.columns):
        return _filled(given)
    n = len(given.rows)
    whole = given.rows.new_empty(n, n)
    for rows in _slices(n, 1024):
        whole[rows, rows.start :] = given.block(rows, slice(rows.start, None))
        whole[rows.stop :, rows] = whole[rows, rows.stop :].T
    return whole


def _filled(given: Similarities) -> Tensor:
    """Block by block into one matrix, so that there is never a second one."""
    whole: Tensor | None = None
    for rows, block in blocks(given):
        if whole is None:
            whole = block.new_empty(given.shape)
        whole[rows] = block
    return torch.empty(given.shape) if whole is None else whole


def _slices(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, max(1, size)):
        yield slice(start, min(n, start + max(1, size)))
