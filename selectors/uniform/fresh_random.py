"""A new random subset each time: the baseline that most selectors fail to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from autotune.selection import Selector, Subset, register
from autotune.signals import Signals


@final
@register("fresh_random")
@dataclass(frozen=True)
class FreshRandom(Selector):
    """Draw a new random subset, without replacement, at every selection (RS2).

    Two selections are independent of each other, because a selector remembers nothing; no sample repeats
    within one.

    Reference: Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning",
    ICLR 2024.
    """

    unbiased: ClassVar[bool] = True

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """`budget` candidates, each equally likely."""
        order = torch.randperm(signals.n, generator=generator, device=generator.device)
        return Subset.uniform(signals.ids[order[:budget].to(signals.ids.device)])

    def cost(self, n: int, budget: int, width: int) -> float:
        """One draw per candidate: n."""
        return float(n)
