"""Facility location cell by cell: exact greedy among samples that are near each other, merged by gain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from autotune.numerics.clusters import k_means
from autotune.numerics.similarity import FeatureSimilarities
from autotune.numerics.submodular.facility import facility_location
from autotune.numerics.submodular.greedy import Order, Progress

LARGEST: Final = 3000  # samples in a cell: 36 MB of similarities, and a fifth of a second
FAN: Final = 8  # cells that a larger one is divided into, at most, so that clustering is cheap
ITERATIONS: Final = 10  # of Lloyd's algorithm; cells need not be the best there are
SPARE: Final = 2.0  # picks of a cell, beside its share of the budget


def celled_facility_location(
    given: FeatureSimilarities,
    budget: int,
    generator: torch.Generator,
    largest: int = LARGEST,
    progress: Progress | None = None,
) -> Order:
    """Exact greedy on the sum over all points of the largest similarity to a pick *in the point's cell*.

    That objective is monotone submodular too, at most the dense one, and a sum over cells, so that its greedy
    order is the cells' orders merged by gain. A pick covers its whole cell, where on a neighbour graph it
    covers so many neighbours at most: of a million samples it is to stand for a hundred. Time n * largest * d
    FLOPs and the clustering; memory 4 largest² bytes beside the data.

    Args:
        given: The similarities of n samples to each other.
        budget: In [1, n].
        generator: Draws the first centres.
        largest: Samples in a cell at most, at least 1.
        progress: Told the share of samples whose cells are done.

    Returns:
        The picks, nested.
    """
    n = len(given.rows)
    parts = list(cells(given.rows, torch.arange(n, device=given.rows.device), largest, generator))
    counts = [min(len(part), math.ceil(SPARE * budget * len(part) / n) + 1) for part in parts]
    orders: list[Order | None] = [None] * len(parts)
    while True:
        for place, (part, count) in enumerate(zip(parts, counts, strict=True)):
            if orders[place] is None:
                inside = FeatureSimilarities(given.kernel, given.rows[part], given.columns[part], given.scale)
                orders[place] = facility_location(inside, count)
            if progress is not None:
                progress((place + 1) / len(parts))
        merged = _merged(parts, [one for one in orders if one is not None], budget)
        for place, order in enumerate(orders):  # a cell whose last pick counts may have more that do
            more = order is not None and order.gains[-1] >= merged.gains[-1]
            if more and counts[place] < len(parts[place]):
                counts[place], orders[place] = min(2 * counts[place], len(parts[place])), None
        if None not in orders:
            return merged


def cells(points: Tensor, ids: Tensor, largest: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Ids in parts of at most so many that are near each other, by k-means of k-means.

    Args:
        points: Shape (n, d).
        ids: Which of them, ascending, shape (m,).
        largest: At least 1.
        generator: Draws the first centres.
    """
    if len(ids) <= largest:
        yield ids
        return
    fan = min(FAN, -(-len(ids) // largest))
    owner = k_means(points[ids], fan, generator, ITERATIONS).owner
    sizes = torch.bincount(owner, minlength=fan)
    if int(sizes.max()) == len(ids):  # all alike: cut anywhere
        yield from torch.split(ids, largest)
        return
    for cell in range(fan):
        if sizes[cell] > 0:
            yield from cells(points, ids[owner == cell], largest, generator)


def _merged(parts: list[Tensor], orders: list[Order], budget: int) -> Order:
    picks = torch.cat([part[order.picks] for part, order in zip(parts, orders, strict=True)])
    gains = torch.cat([order.gains for order in orders])
    first = torch.argsort(gains, descending=True, stable=True)[:budget]
    return Order(picks[first], gains[first])
