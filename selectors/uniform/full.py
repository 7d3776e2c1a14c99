"""Train on everything: the baseline that every subset must beat at equal cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from autotune.errors import SelectorError
from autotune.selection import Scope, Selector, Subset, register
from autotune.signals import Signals


@final
@register("full")
@dataclass(frozen=True)
class Full(Selector):
    """Keep every candidate; a budget that would leave one out is an error, never a silent truncation."""

    scope: ClassVar[Scope] = Scope.STUDY
    unbiased: ClassVar[bool] = True

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """All candidates, in id order, with equal weights."""
        if budget != signals.n:
            raise SelectorError(
                f"selector 'full' keeps all {signals.n} candidates, got budget={budget}; "
                "set policy.fraction to 1, or choose 'random' or 'fresh_random' for a smaller subset"
            )
        return Subset.uniform(signals.ids)

    def cost(self, n: int, budget: int, width: int) -> float:
        """Nothing is computed: 0."""
        return 0.0
