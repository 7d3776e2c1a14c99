"""A new random subset each time: the baseline that most selectors fail to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from autotune.sampling import shuffle_cost
from autotune.selection import Selector, Subset, register
from autotune.signals import Signals


@final
@register("fresh_random")
@dataclass(frozen=True)
class FreshRandom(Selector):
    """Draw a new random subset at every selection (RS2).

    Two selections are independent of each other, because a selector remembers nothing.

    Reference: Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning",
    ICLR 2024.

    Attributes:
        replacement: Draw each sample independently of the others, so that one may repeat within a selection.
    """

    replacement: bool = False

    unbiased: ClassVar[bool] = True

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """`budget` candidates, each equally likely."""
        where, n = generator.device, signals.n
        if self.replacement:
            drawn = torch.randint(n, (budget,), generator=generator, device=where)
        else:
            drawn = torch.randperm(n, generator=generator, device=where)[:budget]
        return Subset.uniform(signals.ids[drawn.to(signals.ids.device)])

    def cost(self, n: int, budget: int, width: int) -> float:
        """One draw per candidate."""
        return shuffle_cost(n)
