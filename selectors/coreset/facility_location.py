"""Stand for all: every sample much like one that was picked, on average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.features import ordered
from autotune.numerics.neighbours import CELL, EXACT, PROBES, nearest
from autotune.numerics.similarity import Kernel, checked, similarities
from autotune.numerics.submodular import (
    celled_facility_location,
    facility_location,
    sparse_facility_location,
)
from autotune.numerics.submodular.celled import LARGEST
from autotune.selection import Selector, Subset, check_positive, register
from autotune.signals import Signal, Signals

GRAPH: Final = 200_000  # candidates beyond which a pick stands for more than its neighbours in a graph


@final
@register("facility_location")
@dataclass(frozen=True)
class FacilityLocationSelector(Selector):
    """Pick, again and again, the sample that makes all samples most alike to one that was picked.

    The order is nested. Equal gains go to the lowest sample id, as far as float32 can tell; samples whose
    features are not finite come last. The sum of similarities is at least 1 - 1/e of the best.

    Reference: Wei, Iyer and Bilmes, "Submodularity in Data Subset Selection and Active Learning", ICML 2015.

    Attributes:
        neighbours: Let a sample cover only those that it is among so many nearest neighbours of, which is
            nearly as good and takes a tenth of the time; 0 looks at all pairs. Of more than 200,000
            candidates each covers those of its cell instead, some 3,000 that are near each other.
        kernel: What alike means: `cosine`, `rbf` or `euclidean`; see `autotune.numerics.similarity.Kernel`.
        memory_gib: For the similarities of all pairs, above 0; where they do not fit they are computed again
            when needed, which takes longer and picks the same.
    """

    neighbours: int = 32
    kernel: str = Kernel.COSINE.value
    memory_gib: float = 2.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES})
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.neighbours < 0:
            raise SelectorError(f"neighbours must be at least 0 (all pairs), got {self.neighbours}")
        check_positive("memory_gib", self.memory_gib, 2.0)
        checked(self.kernel)

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of the greedy order."""

        def order(features: Tensor, count: int) -> Tensor:
            given = similarities(features, self.kernel)
            wanted = min(self.neighbours, len(features) - 1)
            if wanted == 0:
                return facility_location(given, count, self.memory_gib).picks
            if len(features) > GRAPH:
                return celled_facility_location(given, count, generator).picks
            near = nearest(given.rows, wanted, generator)
            return sparse_facility_location(near, given, count).picks

        return ordered(signals, budget, order)

    def cost(self, n: int, budget: int, width: int) -> float:
        """Half of all pairs and some 10 passes over them; or those in cells, and the graph's gains."""
        if budget == n:
            return 0.0
        if self.neighbours == 0:
            return float(n) * n * (width + 30)
        if n > GRAPH:
            return float(n) * LARGEST * (2 * width + 30)
        seen = n if n <= EXACT else CELL * PROBES
        return float(n) * seen * (2 * width + 10) + 20.0 * (n + budget * self.neighbours) * self.neighbours
