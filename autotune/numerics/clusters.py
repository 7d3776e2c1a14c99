"""k-means, blocked: the centres of a data set, and which of them each sample is nearest to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import uniform

BLOCK: Final = 2**24  # distances held at once
ROWS: Final = 2**16  # points whose differences to their centres are held at once
PER_CENTER: Final = 64  # samples per centre that the first centres are drawn from


@dataclass(frozen=True)
class Clusters:
    """Where the centres are.

    Attributes:
        centers: Shape (clusters, d); float32, or float64 where the points are.
        owner: The nearest centre of each point, the first of equals, shape (n,).
        squared: Squared distance to it, shape (n,).
    """

    centers: Tensor
    owner: Tensor
    squared: Tensor


def k_means(points: Tensor, clusters: int, generator: torch.Generator, iterations: int = 30) -> Clusters:
    """Lloyd's algorithm from centres drawn by squared distance (k-means++).

    A centre that nobody is nearest to stays where it is. Cost: iterations * 2 n d clusters FLOPs; memory: a
    copy of the points and a block of distances.

    References: Lloyd, "Least squares quantization in PCM", 1982; Arthur and Vassilvitskii, "k-means++: the
    advantages of careful seeding", SODA 2007.

    Args:
        points: Finite, shape (n, d).
        clusters: In [1, n].
        generator: Draws the first centres.
        iterations: At most so many; it ends when nobody changes the centre.

    Raises:
        SelectorError: When there are more clusters than points, or less than one.
    """
    if not 1 <= clusters <= len(points):
        raise SelectorError(f"clusters must be in [1, {len(points)}], the number of points, got {clusters}")
    points = points if points.dtype == torch.float64 else points.float()
    mean = points.mean(0, dtype=torch.float64).to(points.dtype)
    points = points - mean  # so that squares do not cancel
    centers = _seeds(points, clusters, generator)
    owner = assigned(points, centers)
    for _ in range(iterations):
        sizes = torch.bincount(owner, minlength=clusters).to(points.dtype)
        sums = torch.zeros_like(centers).index_add_(0, owner, points)
        centers = torch.where(sizes[:, None] > 0, sums / sizes.clamp_min(1.0)[:, None], centers)
        before = owner
        owner = assigned(points, centers)
        if torch.equal(before, owner):
            break
    parts = zip(torch.split(points, ROWS), torch.split(owner, ROWS), strict=True)
    squared = torch.cat([(part - centers[own]).square().sum(1) for part, own in parts])
    return Clusters(centers + mean, owner, squared)


def assigned(points: Tensor, centers: Tensor) -> Tensor:
    """The nearest centre of each point, the first of equals, shape (n,)."""
    norms = centers.square().sum(1)
    blocks = torch.split(points, max(1, BLOCK // len(centers)))
    return torch.cat([torch.addmm(norms, block, centers.T, alpha=-2.0).argmin(1) for block in blocks])


def _seeds(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Points drawn one after the other, each with a chance in proportion to its squared distance so far."""
    n = len(points)
    draws = uniform(clusters, generator, points.device)
    if n > PER_CENTER * clusters:  # enough to draw from
        points = points[
            uniform(n, generator, points.device).topk(PER_CENTER * clusters).indices.sort().values
        ]
    squared = points.new_full((len(points),), 1.0, dtype=torch.float64)
    centers = points.new_empty(clusters, points.shape[1])
    for place, draw in enumerate(draws):
        mass = squared.cumsum(0)
        at = torch.searchsorted(mass, draw * mass[-1]).clamp_max(len(points) - 1)
        centers[place] = points[at]
        squared = torch.minimum(
            squared if place else squared * torch.inf, (points - points[at]).square().sum(1).double()
        )
    return centers
