"""Cover the feature space: every sample near one that was picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.sampling import observed
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals

ACTIVE: Final = 1024  # points kept up to date together: their rows fit in a core's cache
CHUNK: Final = 128  # points caught up by one matrix product
SAME: Final = 4e-6  # squared distances below this share of the squared norm are float32 rounding


@final
@register("k_center")
@dataclass(frozen=True)
class KCenter(Selector):
    """Pick, again and again, the sample farthest from all picked so far; the first one is drawn.

    The order is nested: a smaller budget takes a prefix. Ties go to the lowest sample id, so exact duplicates
    come after everything else, in id order; samples whose embedding is not finite come last of all.

    Reference: Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    ICLR 2018, algorithm 1; Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.EMBEDDINGS})

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of the farthest-first order."""
        features = observed(signals, Signal.EMBEDDINGS).flatten(1).float()
        usable = torch.isfinite(features).all(1)
        positions, rest = usable.nonzero().squeeze(1), (~usable).nonzero().squeeze(1)
        if len(positions) == 0:
            return Subset.uniform(signals.ids[rest[:budget]])
        drawn = torch.randint(len(positions), (1,), generator=generator, device=generator.device)
        order = farthest_first(features[positions], min(budget, len(positions)), int(drawn))
        return Subset.uniform(signals.ids[torch.cat([positions[order], rest])[:budget]])

    def cost(self, n: int, budget: int, width: int) -> float:
        """At most every candidate against every pick, 2 n k d, and 5 n d to prepare; often much less."""
        return 2.0 * n * budget * width + 5.0 * n * width


def farthest_first(features: Tensor, budget: int, first: int) -> Tensor:
    """Greedy 2-approximation of the k-center problem, with the picks of the plain algorithm.

    The plain one compares all points with each new pick. Here a point keeps the distance it last had, which
    can only be too large, and is compared with the picks it missed once that bound is among the largest: the
    points with the largest bounds are active and kept exact, and the farthest of them is the farthest of all
    as long as its distance is no smaller than the bounds of the others. Missed picks are caught up by matrix
    products, and points in dense regions wait until the radius has shrunk to their size.

    Args:
        features: Finite float32 values, shape (n, d); not changed.
        budget: How many to pick, in [1, n].
        first: The position to begin with.

    Returns:
        Distinct positions in the order they were picked, shape (budget,).
    """
    points, norms = _standard(features)
    n = len(points)
    picks = torch.empty(budget, dtype=torch.long, device=points.device)
    centers, center_norms = points.new_empty(budget, points.shape[1]), points.new_empty(budget)
    bound = points.new_full((n,), torch.inf)  # squared distance to the nearest pick, or more; -1: picked
    seen = torch.zeros(n, dtype=torch.long, device=points.device)  # how many picks it accounts for
    active, least, count = torch.tensor([first], device=points.device), 0.0, 0
    while True:
        rows, sizes, near = points[active], norms[active], bound[active]
        _catch_up(near, rows, sizes, seen[active], centers[:count], center_norms[:count])
        while count < budget:
            farthest, where = near.max(0)  # the first of equals, thus the lowest id
            if not 0.0 < float(farthest) >= least:
                break
            picks[count], near[where] = active[where], -1.0
            centers[count], center_norms[count] = rows[where], sizes[where]
            _shrink(near, center_norms[count] - 2 * (rows @ centers[count]), sizes)
            count += 1
        bound[active], seen[active] = near, count
        if count == 1:  # compared with all at once: a first bound for everyone
            _shrink(bound, center_norms[0] - 2 * (points @ centers[0]), norms)
            seen.fill_(1)
        if count == budget:
            return picks
        least = float(bound.topk(min(ACTIVE, n)).values[-1])
        active = ((bound >= least) & (bound > 0)).nonzero().squeeze(1)
        if len(active) == 0:  # only duplicates of picks are left
            bound[picks[:count]] = -1.0
            picks[count:] = (bound >= 0).nonzero().squeeze(1)[: budget - count]
            return picks


def _standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """Points around their mean and at most 1 in size, so that squares neither cancel nor overflow."""
    points = features - features.mean(0, dtype=torch.float64).float()
    points = points / points.abs().max().clamp_min(torch.finfo(points.dtype).tiny)
    return points, points.square().sum(1)


def _shrink(bound: Tensor, partial: Tensor, sizes: Tensor) -> None:
    """Lower the bounds in place to the distances to a new pick, given |c|^2 - 2 x.c."""
    distance = partial.add_(sizes)
    distance.masked_fill_(distance < SAME * sizes, 0.0)
    torch.minimum(bound, distance, out=bound)


def _catch_up(
    near: Tensor, rows: Tensor, sizes: Tensor, seen: Tensor, centers: Tensor, center_norms: Tensor
) -> None:
    """Compare points with the picks they missed, in place; those that missed about as many go together."""
    for group in torch.split(seen.argsort(descending=True, stable=True), CHUNK):
        start = int(seen[group].min())
        if start == len(centers):
            continue
        products = torch.addmm(center_norms[start:, None], centers[start:], rows[group].T, alpha=-2.0)
        shrunk = near[group]
        _shrink(shrunk, products.amin(0), sizes[group])
        near[group] = shrunk
