"""Begin with what is easy, and admit more as training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from autotune.errors import SelectorError
from autotune.numerics.draws import uniform
from autotune.sampling import class_ids, observed, shuffle_cost, sort_cost, top_by_score
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("self_paced")
@dataclass(frozen=True)
class SelfPaced(Selector):
    """Draw from the easiest samples only, of which ever more are admitted as training goes on.

    The original admits losses below a threshold that rises from round to round; here the threshold is a
    quantile, so that the pace is known beforehand. Among the admitted all are equally likely.

    Reference: Kumar, Packer and Koller, "Self-Paced Learning for Latent Variable Models", NeurIPS 2010.

    Attributes:
        start: Share of the candidates admitted at first, in (0, 1]; never fewer than the budget.
        ramp: Progress at which everyone is admitted, in [0, 1].
        class_balanced: Admit the same share of every labelled class, so that a class that is hard on the
            whole does not come last; no effect where targets are not class ids.
    """

    start: float = 0.2
    ramp: float = 0.5
    class_balanced: bool = False

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS, Signal.TARGETS})

    def __post_init__(self) -> None:
        if not 0.0 < self.start <= 1.0:
            raise SelectorError(f"start must be in (0, 1], got {self.start}")
        if not 0.0 <= self.ramp <= 1.0:
            raise SelectorError(f"ramp must be in [0, 1] (a share of the horizon), got {self.ramp}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """A random part of the admitted; a loss that is not finite is admitted last."""
        losses = observed(signals, Signal.LOSS)
        groups = class_ids(signals[Signal.TARGETS]) if self.class_balanced else None
        admitted = max(budget, round(pace(signals.progress, self.start, self.ramp) * signals.n))
        easiest = top_by_score(-losses, admitted, groups=groups)
        draws = uniform(signals.n, generator, losses.device)
        return Subset.uniform(signals.ids[easiest[draws[easiest].argsort(stable=True)[:budget]]])

    def cost(self, n: int, budget: int, width: int) -> float:
        """A draw per candidate, and two sorts."""
        return shuffle_cost(n) + 2 * sort_cost(n)


def pace(progress: float, start: float, ramp: float) -> float:
    """Share admitted at a progress: from `start` in a straight line to 1 at `ramp`, in (0, 1]."""
    return start + (1 - start) * progress / ramp if progress < ramp else 1.0
