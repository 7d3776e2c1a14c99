"""One random subset, kept: the baseline of every fixed coreset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from autotune.sampling import shuffle_cost
from autotune.selection import Scope, Selector, Subset, register
from autotune.signals import Signals


@final
@register("random")
@dataclass(frozen=True)
class FixedRandom(Selector):
    """Keep one random subset for the whole trial.

    Subsets of the same candidates and generator seed are nested: a smaller budget takes a prefix of what a
    larger one takes, so that fractions are compared on the same draw. It is unbiased over seeds only: within
    a trial the samples left out never count.
    """

    scope: ClassVar[Scope] = Scope.STUDY
    nested: ClassVar[bool] = True
    unbiased: ClassVar[bool] = True

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The first `budget` of one random permutation."""
        order = torch.randperm(signals.n, generator=generator, device=generator.device)
        return Subset.uniform(signals.ids[order[:budget].to(signals.ids.device)])

    def cost(self, n: int, budget: int, width: int) -> float:
        """One draw per candidate."""
        return shuffle_cost(n)
