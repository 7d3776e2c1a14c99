"""What every selector that ranks samples by a score has in common: importance here, coverage by a sampler."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from autotune.errors import SelectorError, unknown
from autotune.sampling import Sampler, class_ids, pick
from autotune.selection import Selector, Subset, check_positive
from autotune.signals import Signal, Signals


@dataclass(frozen=True)
class ScoreSelector(Selector):
    """A rule that says how much each sample is wanted; how samples are then taken is chosen apart.

    Subclasses declare `needs` with `Signal.TARGETS` among them, and implement `scores` and `cost`.

    Attributes:
        sampler: `top`, `bottom`, `middle`, `coverage` or `softmax`; see `autotune.sampling.Sampler`.
        skip: Share of the candidates set aside first, the most wanted ones, in [0, 1); the likely mislabelled
            tail of a difficulty score. The budget is met all the same.
        temperature: Of the `softmax` sampler, over standardised scores, above 0.
        class_balanced: Keep the same share of every labelled class; no effect where targets are no class ids.
    """

    sampler: str = Sampler.TOP.value
    skip: float = 0.0
    temperature: float = 1.0
    class_balanced: bool = False

    def __post_init__(self) -> None:
        known = [sampler.value for sampler in Sampler]
        if self.sampler not in known:
            raise SelectorError(unknown("sampler", str(self.sampler), known))
        if not 0.0 <= self.skip < 1.0:
            raise SelectorError(f"skip must be in [0, 1), got {self.skip}")
        check_positive("temperature", self.temperature, 1.0)

    @abstractmethod
    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """How much each sample is wanted, shape (n,); not finite where that cannot be said."""

    @final
    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """Score, then sample; a sample whose score is not finite comes last."""
        groups = class_ids(signals[Signal.TARGETS]) if self.class_balanced else None
        positions = pick(
            self.scores(signals, generator),
            budget,
            Sampler(self.sampler),
            generator,
            skip=self.skip,
            temperature=self.temperature,
            groups=groups,
        )
        return Subset.uniform(signals.ids[positions])
