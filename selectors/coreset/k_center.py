"""Cover the feature space: every sample near one that was picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autotune.features import ordered
from autotune.numerics.similarity import ROUNDING
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals

Floats = npt.NDArray[np.float32]

ACTIVE: Final = 512  # points kept exact together: their distances to each other fit in a core's cache
CHUNK: Final = 128  # points caught up by one matrix product


@final
@register("k_center")
@dataclass(frozen=True)
class KCenter(Selector):
    """Pick, again and again, the sample farthest from all picked so far; the first one is drawn.

    The order is nested: a smaller budget takes a prefix. Equal distances go to the lowest sample id, as far
    as float32 can tell; exact duplicates come after everything else, in id order; samples whose embedding is
    not finite come last of all. Where the budget is everything there is nothing to order: ids come sorted.

    Reference: Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    ICLR 2018, algorithm 1; Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES})
    nested: ClassVar[bool] = True

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of the farthest-first order."""

        def order(features: Tensor, count: int) -> Tensor:
            drawn = torch.randint(len(features), (1,), generator=generator, device=generator.device)
            return farthest_first(features, count, int(drawn))

        return ordered(signals, budget, order)

    def cost(self, n: int, budget: int, width: int) -> float:
        """At most each candidate against the picks before it, k d (2 n - k), and 5 n d to prepare."""
        return (float(budget * width) * (2 * n - budget) + 5.0 * n * width) if budget < n else 0.0


def farthest_first(features: Tensor, budget: int, first: int) -> Tensor:
    """Greedy 2-approximation of the k-center problem, with the picks of the plain algorithm.

    The plain one compares all points with each new pick. Here a point keeps the distance it last had, which
    can only be too large, and is compared with the picks it missed when that bound is among the largest: the
    points with the largest bounds are active and kept exact, and the farthest of them is the farthest of all
    while no other bound exceeds its distance. So most comparisons become matrix products, and points in dense
    regions wait until the radius has shrunk to their size. Memory is one copy of the features.

    Args:
        features: Finite float32 values, shape (n, d); not changed.
        budget: How many to pick, in [1, n].
        first: The position to begin with.

    Returns:
        Distinct positions in the order they were picked, shape (budget,).
    """
    points, norms = _standard(features)
    n, count = len(points), 0
    picks = torch.empty(budget, dtype=torch.long, device=points.device)
    centers, center_norms = points.new_empty(budget, points.shape[1]), points.new_empty(budget)
    bound = points.new_full((n,), torch.inf)  # squared distance to the nearest pick, or more; -1 once picked
    seen = torch.zeros(n, dtype=torch.long, device=points.device)  # how many picks a bound accounts for
    found = torch.tensor([first], device=points.device)
    while True:
        upto = count + len(found)
        picks[count:upto], centers[count:upto], center_norms[count:upto] = found, points[found], norms[found]
        count = upto
        if count == 1:  # a bound for everyone
            bound = _nearest(points, norms, centers[:1], center_norms[:1])
            bound[first] = -1.0
            seen.fill_(1)
        if count == budget:
            return picks
        active, least, rival = _most_distant(bound)
        if len(active) == 0:  # only duplicates of picks are left
            picks[count:] = (bound == 0).nonzero().squeeze(1)[: budget - count]
            return picks
        for group in torch.split(active[seen[active].argsort(descending=True, stable=True)], CHUNK):
            missed = slice(int(seen[group].min()), count)  # those that missed about as many go together
            if missed.start < count:
                nearest = _nearest(points[group], norms[group], centers[missed], center_norms[missed])
                bound[group] = torch.minimum(bound[group], nearest)
        near = bound[active].cpu().numpy().copy()
        inside = _distances(points[active], norms[active]).cpu().numpy()
        order = _greedy_inside(near, inside, least, int((active < rival).sum()), budget - count)
        bound[active] = torch.from_numpy(near).to(bound.device)
        seen[active] = count + len(order)
        found = active[torch.tensor(order, dtype=torch.long, device=active.device)]


def _greedy_inside(near: Floats, distances: Floats, least: float, may_tie: int, room: int) -> list[int]:
    """Pick among the active points as long as none outside can be farther; `near` is kept up to date.

    Args:
        near: Squared distance of each active point to its nearest pick, shape (a,).
        distances: Squared distances among the active points, shape (a, a).
        least: The largest bound outside is at most this.
        may_tie: Active points before this place come before every point outside whose bound is `least`.
        room: How many picks are left.
    """
    order: list[int] = []
    while len(order) < room:
        at = int(near.argmax())  # the first of equals: the lowest id
        farthest = near[at]
        if farthest <= 0 or farthest < least or (farthest == least and at >= may_tie):
            break
        np.minimum(near, distances[at], out=near)
        near[at] = -1.0
        order.append(at)
    return order


def _most_distant(bound: Tensor) -> tuple[Tensor, float, int]:
    """Positions of the largest positive bounds in id order, the least of them, and the first tie left out."""
    n = len(bound)
    least = float(bound.topk(min(ACTIVE, n)).values[-1])
    if least <= 0:
        return (bound > 0).nonzero().squeeze(1), 0.0, n
    above, ties = bound > least, (bound == least).nonzero().squeeze(1)
    room = ACTIVE - int(above.sum())
    rival = int(ties[room]) if len(ties) > room else n
    above[ties[:room]] = True
    return above.nonzero().squeeze(1), least, rival


def _standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """Points around their mean and at most 1 in size, so that squares neither cancel nor overflow."""
    points = features - features.mean(0, dtype=torch.float64).float()
    exponent = torch.frexp(points.abs().max()).exponent  # a power of two: scaling rounds nothing
    points = torch.ldexp(points, -exponent.clamp_min(-126))
    return points, points.square().sum(1)


def _nearest(rows: Tensor, sizes: Tensor, centers: Tensor, center_norms: Tensor) -> Tensor:
    """Squared distance of each row, given its squared norm, to the nearest of some centers."""
    if len(centers) == 1:  # over all points, a vector product needs no second copy
        least = center_norms - 2.0 * (rows @ centers[0])
    else:
        least = torch.addmm(center_norms[:, None], centers, rows.T, alpha=-2.0).amin(0)
    return _rounded(least.add_(sizes), sizes)


def _distances(rows: Tensor, sizes: Tensor) -> Tensor:
    """Squared distances of some rows, given their squared norms, to each other."""
    return _rounded(torch.addmm(sizes, rows, rows.T, alpha=-2.0).add_(sizes[:, None]), sizes)


def _rounded(squared: Tensor, sizes: Tensor) -> Tensor:
    """What is below the rounding error of float32 is 0; the last dimension is that of the sizes."""
    return squared.masked_fill_(squared < ROUNDING * sizes, 0.0)
