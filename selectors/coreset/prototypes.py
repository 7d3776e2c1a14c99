"""Far from every prototype is hard, near one is easy: difficulty without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.features import usable
from autotune.numerics.clusters import k_means
from autotune.sampling import sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals

ITERATIONS: Final = 30  # at most


@final
@register("prototypes")
@dataclass(frozen=True)
class Prototypes(ScoreSelector):
    """Score by the distance to the nearest k-means centre of the features.

    `top`, the default, keeps the hard samples, right where data are plenty; `bottom` the easy ones, for where
    they are scarce.

    Reference: Sorscher, Geirhos, Shekhar, Ganguli and Morcos, "Beyond neural scaling laws: beating power law
    scaling via data pruning", NeurIPS 2022, section 5.

    Attributes:
        clusters: How many centres, at least 1; about the number of classes.
    """

    clusters: int = 10

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.FEATURES, Signal.TARGETS})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clusters < 1:
            raise SelectorError(f"clusters must be at least 1, got {self.clusters}")

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """Distance to the nearest centre."""
        positions, features = usable(signals)
        found = torch.full((signals.n,), torch.nan, device=features.device)
        if len(positions):
            count = min(self.clusters, len(positions))
            found[positions] = k_means(features, count, generator, ITERATIONS).squared.sqrt()
        return found

    def cost(self, n: int, budget: int, width: int) -> float:
        """Distances to all centres in every iteration, then a sort."""
        return 2.0 * n * width * self.clusters * ITERATIONS + sort_cost(n) if budget < n else 0.0
