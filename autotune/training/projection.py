"""Random projections of weight gradients that arrive as factors, so that no gradient is ever held whole.

The gradient of a sample by a weight matrix is a sum of outer products over positions, G = sum_p b_p a_p'.
Three random maps follow each other, and each preserves inner products in expectation: a side longer than
`SIDE` is reduced by a matrix of random signs, (P b)(Q a)'; the small matrix that results is folded, each of
its entries entering one of `width` sums with a random sign; and the sums of all layers are added.

Reference: Choe et al., "What is Your Data Worth to GPT? LLM-Scale Data Valuation with Influence Functions",
2024 (reducing both sides of a layer); Charikar et al., "Finding Frequent Items in Data Streams", ICALP 2002
(folding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.seeds import derive

WIDTH: Final = 512  # of a projected gradient
SIDE: Final = 128  # what a longer side of a weight matrix is reduced to
SEED: Final = 0  # a constant, so that all trials share the projection of equal shapes


@dataclass(frozen=True)
class Side:
    """A linear map of one side of a weight matrix.

    Attributes:
        size: Of the side.
        matrix: Shape (reduced, size); None keeps every coordinate.
        scale: Shape (size,), of a side that is kept; None leaves it as it is.
    """

    size: int
    matrix: Tensor | None = None
    scale: Tensor | None = None

    def __call__(self, factor: Tensor) -> Tensor:
        """Map factors of shape (..., size) to (..., reduced)."""
        if self.matrix is not None:
            return factor @ self.matrix.T
        return factor if self.scale is None else factor * self.scale

    def extended(self, factor: Tensor, last: float) -> Tensor:
        """Map factors of shape (..., size - 1), each followed by the same last coordinate."""
        if self.matrix is None:
            return self(F.pad(factor, (0, 1), value=last))
        return F.linear(factor, self.matrix[:, :-1], self.matrix[:, -1] * last)

    @property
    def reduced(self) -> int:
        """The size that is left."""
        return self.size if self.matrix is None else len(self.matrix)

    def after(self, scale: Tensor) -> Side:
        """The same map of a factor that is multiplied by `scale` first."""
        if self.matrix is not None:
            return replace(self, matrix=self.matrix * scale)
        return replace(self, scale=scale if self.scale is None else self.scale * scale)


@dataclass(frozen=True)
class Projection:
    """Of the gradient by one weight matrix.

    Attributes:
        left: Of the side that gradients of outputs multiply.
        right: Of the side that inputs multiply.
        order: Which entry of the reduced matrix stands where before folding, shape (folds, width).
        signs: Their signs, shape (folds, width); 0 where no entry stands.
    """

    left: Side
    right: Side
    order: Tensor
    signs: Tensor

    def __call__(self, left: Tensor, right: Tensor) -> Tensor:
        """Project each sample's gradient.

        Args:
            left: One factor, mapped already, shape (samples, positions, left.reduced).
            right: The other, mapped already, shape (samples, positions, right.reduced).

        Returns:
            Shape (samples, width).
        """
        entries = torch.bmm(left.mT, right).flatten(1)
        spread = entries[:, self.order.flatten()].mul_(self.signs.flatten())
        return spread.view(len(entries), *self.order.shape).sum(1)

    def flops(self, positions: int, *, lookup: bool = False) -> float:
        """Of projecting one sample's gradient; with `lookup` the left factors are read off the matrix."""
        mapped = (self.right,) if lookup else (self.left, self.right)
        sides = sum(2.0 * side.matrix.numel() for side in mapped if side.matrix is not None)
        product = 2.0 * self.left.reduced * self.right.reduced
        return positions * (sides + product) + 2.0 * self.order.numel()


def projections(
    shapes: Sequence[tuple[int, int]],
    width: int,
    *,
    side: int,
    seed: int,
    like: Tensor,
) -> list[Projection]:
    """One projection for each weight matrix; their sum projects the gradient by all of them.

    Inner products are exact where no side is above `side` and all entries together are at most `width`.

    Args:
        shapes: Rows and columns of each matrix.
        width: Of the result.
        side: What a longer side is reduced to.
        seed: Of every draw.
        like: A tensor on the device and of the type that is wanted.
    """
    found: list[Projection] = []
    offset = 0
    for index, shape in enumerate(shapes):
        generator = torch.Generator().manual_seed(derive(seed, "projection", index, *shape))
        left, right = (_side(size, side, generator, like) for size in shape)
        entries = left.reduced * right.reduced
        order, signs = _folding(entries, offset, width, generator)
        found.append(Projection(left, right, order.to(like.device), signs.to(like)))
        offset += entries
    return found


def _side(size: int, most: int, generator: torch.Generator, like: Tensor) -> Side:
    if size <= most:
        return Side(size)
    return Side(size, (_signs((most, size), generator) / math.sqrt(most)).to(like))


def _folding(entries: int, offset: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where entries stand: after those of the layers before, or at random where they are many."""
    places = (offset + torch.arange(entries)) % width
    folds = -(-entries // width)
    if folds > 1:
        places = torch.randperm(folds * width, generator=generator)[:entries]
    order = torch.zeros(folds * width, dtype=torch.long)
    signs = torch.zeros(folds * width)
    order[places] = torch.arange(entries)
    signs[places] = _signs((entries,), generator)
    return order.view(folds, width), signs.view(folds, width)


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(2, shape, generator=generator).mul_(2).sub_(1).float()
