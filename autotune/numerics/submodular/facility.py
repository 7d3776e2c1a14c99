"""Facility location: every point near one that was picked, on average."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.similarity import ALL, BLOCK_BYTES, Similarities, matrix, totals
from autotune.numerics.submodular.greedy import BATCH, Objective, Order, Progress, lazy

MEMORY_GIB = 2.0
RECOMPUTED = 128  # gains computed together where similarities are not kept: products want many rows


@dataclass(frozen=True)
class Cover(Order):
    """What was picked, and who covers whom.

    Attributes:
        owner: The place in `picks` of the one most like each point, the first of equals, shape (points,).
    """

    owner: Tensor


class FacilityLocation(Objective):
    """The sum over all points of the largest similarity to one that was added; 0 while none was.

    Args:
        given: Similarities.
        memory_gib: Above 0. If all similarities fit into it they are kept, else computed when needed: the
            same picks, several times slower.
    """

    def __init__(self, given: Similarities, memory_gib: float = MEMORY_GIB) -> None:
        if not memory_gib > 0.0:
            raise SelectorError(f"memory_gib must be above 0, got {memory_gib}")
        probe = given.block(slice(0, 1), ALL)
        self.candidates, points = given.shape
        self.device = probe.device
        self.best = torch.zeros_like(probe[0])
        self.owner = torch.zeros(points, dtype=torch.long, device=probe.device)
        self._added, self._given = 0, given
        fits = probe.element_size() * self.candidates * points <= memory_gib * 2**30
        self._kept = matrix(given) if fits else None
        # what each would cover if it were the first
        self._alone = totals(given) if self._kept is None else self._kept.sum(1)
        self.batch = BATCH if self._kept is not None else min(RECOMPUTED, 1 + BLOCK_BYTES // (4 * points))

    def gains(self, candidates: Tensor) -> Tensor:
        """How much nearer the points would be, summed over them."""
        if self._added == 0:
            return self._alone[candidates]
        return torch.relu_(self._rows(candidates).sub_(self.best)).sum(1)

    def add(self, candidate: int) -> None:
        """Points that are more like it than like those before are its own from now on."""
        row = self._rows(torch.tensor([candidate], device=self.device))[0]
        self.owner.masked_fill_(row > self.best, self._added)
        torch.maximum(self.best, row, out=self.best)
        self._added += 1

    def _rows(self, candidates: Tensor) -> Tensor:
        if self._kept is None:
            return self._given.block(candidates, ALL)
        return self._kept[candidates]


def facility_location(
    given: Similarities, budget: int, memory_gib: float = MEMORY_GIB, progress: Progress | None = None
) -> Cover:
    """Greedy facility location by all similarities; at least 1 - 1/e of the best value.

    Reference: Wei, Iyer and Bilmes, "Submodularity in Data Subset Selection and Active Learning", ICML 2015.

    Args:
        given: Similarities of c candidates and m points.
        budget: In [1, c].
        memory_gib: What may be used to keep similarities.
        progress: Told the share of picks made, from time to time.

    Returns:
        The picks, nested: a smaller budget takes a prefix.
    """
    objective = FacilityLocation(given, memory_gib)
    order = lazy(objective, budget, objective.batch, progress)
    return Cover(order.picks, order.gains, objective.owner)
