"""The nearest neighbours of every sample: exact by blocks, or among the nearest cells of a partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.clusters import assigned, k_means
from autotune.numerics.draws import uniform
from autotune.numerics.similarity import ROUNDING

EXACT: Final = 20_000  # samples up to which every pair is looked at
CELL: Final = 500  # samples per cell of the partition, on average
SAMPLE: Final = 40  # of them that the partition is learnt from
BLOCK: Final = 2**22  # distances held at once: little enough for a cache shared by some cores
PROBES: Final = 8  # cells looked into where the caller does not say


@dataclass(frozen=True)
class Neighbours:
    """Who is near whom.

    Attributes:
        ids: The nearest other samples of each, nearest first, shape (n, count).
        squared: Squared distances to them, shape (n, count).
    """

    ids: Tensor
    squared: Tensor


def nearest(
    points: Tensor,
    count: int,
    generator: torch.Generator,
    probes: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Neighbours:
    """Nearest neighbours by Euclidean distance, a sample itself left out.

    Up to 20,000 samples every pair is looked at. Beyond, samples are parted into cells of about 500 by
    k-means, and each looks for its neighbours in the `probes` cells nearest to its own: n * 500 * probes
    distances instead of n * n.

    Reference: Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011, section IV
    (the inverted file, without quantisation).

    Args:
        points: Finite float32 or float64, shape (n, d).
        count: In [1, n - 1].
        generator: Draws what the cells are learnt from.
        probes: Cells to look into, at least 1; None looks at every pair up to 20,000 samples, else into 8.
        progress: Told the share of samples done.

    Raises:
        SelectorError: When count or probes is out of range.
    """
    n = len(points)
    if not 1 <= count < n:
        raise SelectorError(f"count must be in [1, {n - 1}], one less than the samples, got {count}")
    if probes is not None and probes < 1:
        raise SelectorError(f"probes must be at least 1, got {probes}")
    points = points - points.mean(0, dtype=torch.float64).to(points.dtype)
    sizes = points.square().sum(1)
    ids = torch.empty(n, count, dtype=torch.long, device=points.device)
    squared = points.new_empty(n, count)
    done = 0
    for members, others in _searches(points, count, probes, generator):
        there, there_sizes = points[others], sizes[others]
        for part in torch.split(members, max(1, BLOCK // len(others))):
            found = torch.addmm(there_sizes, points[part], there.T, alpha=-2.0).add_(sizes[part, None])
            found.masked_fill_(part[:, None] == others, torch.inf)
            least = found.topk(count, largest=False)
            ids[part], squared[part] = others[least.indices], least.values
            done += len(part)
            if progress is not None:
                progress(done / n)
    squared.masked_fill_(squared < ROUNDING * sizes[:, None], 0.0)
    return Neighbours(ids, squared)


def _searches(
    points: Tensor, count: int, probes: int | None, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Which samples look for their neighbours among which; at least `count` + 1 of those."""
    n = len(points)
    cells = max(1, n // CELL)
    if (probes is None and n <= EXACT) or cells == 1:
        everyone = torch.arange(n, device=points.device)
        yield everyone, everyone
        return
    drawn = uniform(n, generator, points.device).topk(min(n, SAMPLE * cells)).indices.sort().values
    centers = k_means(points[drawn], cells, generator, iterations=5).centers
    owner = assigned(points, centers)
    members = torch.split(owner.argsort(stable=True), torch.bincount(owner, minlength=cells).tolist())
    for cell, own in enumerate(members):
        if len(own) == 0:
            continue
        wanted = min(cells, probes or PROBES)
        by_distance = (centers - centers[cell]).square().sum(1).argsort(stable=True).tolist()
        while sum(len(members[near]) for near in by_distance[:wanted]) <= count:
            wanted += 1  # the whole data set holds enough
        yield own, torch.cat([members[near] for near in by_distance[:wanted]]).sort().values
