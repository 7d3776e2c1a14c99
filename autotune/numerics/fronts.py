"""Points by non-domination, and points of one front spread out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Point: TypeAlias = tuple[float, ...]  # more is better in every coordinate; no NaN


@dataclass
class Front:
    """Points none of which dominates another.

    Attributes:
        members: Their keys.
        spread: The same keys in the order of `spread_out`; None until somebody asks.
    """

    members: list[int]
    spread: list[int] | None = field(default=None, compare=False)


@dataclass
class Fronts:
    """Points in fronts, kept up as they come in.

    The first front is dominated by nobody, the next one only by points of the first, and so on. A point is
    inserted where it belongs, and those that it dominates there move down, with those that they dominate in
    turn (Li et al., "Efficient non-domination level update", IEEE Trans. Cybernetics 2017).

    Attributes:
        points: By key.
        fronts: The best first.
    """

    points: dict[int, Point] = field(default_factory=dict)
    fronts: list[Front] = field(default_factory=list)

    def insert(self, key: int, point: Point) -> None:
        """Take in one more point, under a key of its own."""
        self.points[key] = point
        level = bisect_left(self.fronts, True, key=lambda front: not self._dominated([key], front.members)[0])
        moving = [key]
        while level < len(self.fronts):
            members = self.fronts[level].members
            beaten = self._dominated(members, moving)
            down = [one for one, lost in zip(members, beaten, strict=True) if lost]
            if len(down) == len(members):  # the whole front, and so all below it, each by one
                self.fronts.insert(level, Front(moving))
                return
            self.fronts[level] = Front([one for one in members if one not in set(down)] + moving)
            if not down:
                return
            moving, level = down, level + 1
        self.fronts.append(Front(moving))

    def first(self, count: int) -> list[int]:
        """The keys of the best `count` points, fewer if there are fewer: front by front, each spread out."""
        found: list[int] = []
        for front in self.fronts:
            if len(found) >= count:
                break
            if front.spread is None:
                keys = sorted(front.members)
                order = spread_out(np.array([self.points[key] for key in keys]))
                front.spread = [keys[index] for index in order]
            found += front.spread
        return found[: max(count, 0)]

    def _dominated(self, keys: Sequence[int], by: Sequence[int]) -> list[bool]:
        ours = np.array([self.points[key] for key in keys])[:, None]
        theirs = np.array([self.points[key] for key in by])[None]
        beats: NDArray[np.bool_] = np.all(theirs >= ours, axis=2) & np.any(theirs > ours, axis=2)
        return [bool(beaten) for beaten in np.any(beats, axis=1)]


def spread_out(points: NDArray[np.float64]) -> list[int]:
    """An order in which every beginning covers the points as evenly as can be.

    The best by the first coordinate comes first, then always the point farthest from those before it: the
    epsilon-net of Clarkson (2006), as MO-ASHA orders a front (Schmucker et al., 2021,
    https://arxiv.org/abs/2106.12639). Distances are taken between ranks, so that no unit outweighs another
    and no monotone transform of a coordinate changes the order.

    Args:
        points: Shape (n, objectives), n >= 1.

    Returns:
        Indices; of equals the lower one comes first.
    """
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in points.T], axis=1)
    places = ranks / np.maximum(ranks.max(0), 1)
    order = [int(places[:, 0].argmax())]
    gaps = np.full(len(places), np.inf)
    while len(order) < len(places):
        gaps = np.minimum(gaps, np.square(places - places[order[-1]]).sum(1))
        gaps[order[-1]] = -1.0
        order.append(int(gaps.argmax()))
    return order
