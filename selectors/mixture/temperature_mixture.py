"""Mix sources by size, evened out by a temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.numerics.draws import from_groups
from autotune.sampling import shuffle_cost, sort_cost
from autotune.selection import Selector, Subset, check_positive, register
from autotune.signals import Signal, Signals


@final
@register("temperature_mixture")
@dataclass(frozen=True)
class TemperatureMixture(Selector):
    """Draw from each source in proportion to its size to the power of 1/temperature.

    Within a source samples are equally likely, and none repeats before all of it was drawn: a source that is
    smaller than its part is taken whole as often as it fits, and once more in part.

    Reference: Arivazhagan et al., "Massively Multilingual Neural Machine Translation in the Wild: Findings
    and Challenges", arXiv:1907.05019, 2019.

    Attributes:
        temperature: 1 is the natural mixture, larger is more even; above 0, inf excluded.
    """

    temperature: float = 3.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.GROUPS})
    replacement = True

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature, 3.0)

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """A draw from each source, in random order inside it."""
        _, group, sizes = torch.unique(signals[Signal.GROUPS], return_inverse=True, return_counts=True)
        drawn = from_groups(group, temperature_shares(sizes, self.temperature), budget, generator)
        return Subset.uniform(signals.ids[drawn])

    def cost(self, n: int, budget: int, width: int) -> float:
        """A draw per candidate, and two sorts."""
        return shuffle_cost(n) + 2 * sort_cost(n)


def temperature_shares(sizes: Tensor, temperature: float) -> Tensor:
    """Share of each source, n_g^(1/T) / sum.

    Args:
        sizes: Samples in each source, shape (groups,), above 0.
        temperature: T, above 0.

    Returns:
        Shares > 0 that sum to 1, float64, shape (groups,).
    """
    return (sizes.double().log() / temperature).softmax(0)
