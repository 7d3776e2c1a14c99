"""Keep what the model already agrees with: the usual defence against wrong labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import uniform
from autotune.sampling import class_ids, shuffle_cost, sort_cost, top_by_score
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("small_loss")
@dataclass(frozen=True)
class SmallLoss(Selector):
    """Keep the samples with the smallest loss.

    Networks fit clean labels before wrong ones, so the smallest losses are the likeliest to be clean. Losses
    may be left over from training where all candidates have one; else those of the pool are computed anew.
    Where signals come from elsewhere, a sample without a loss cannot be judged, and goes first, in random
    order. A loss that is not finite goes last.

    Reference: Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels",
    NeurIPS 2018, algorithm 1 (its small-loss rule and the schedule of R(T), with one network).

    Attributes:
        class_balanced: Keep the same share of every labelled class, so that a class that is hard on the
            whole is not dropped; no effect where targets are not class ids.
        ramp: Progress over which the rule becomes strict, in [0, 1]: the share of the budget that goes to the
            smallest losses grows from none to all of it, and the rest is drawn from the others.
    """

    class_balanced: bool = False
    ramp: float = 0.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS, Signal.TARGETS})

    def __post_init__(self) -> None:
        if not 0.0 <= self.ramp <= 1.0:
            raise SelectorError(f"ramp must be in [0, 1] (a share of the horizon), got {self.ramp}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The smallest losses, unseen samples before them; then chance, while the ramp lasts."""
        losses = signals.reading(Signal.LOSS)
        draws = uniform(signals.n, generator, losses.values.device)
        scores = clean_scores(losses.values, losses.covered, draws)
        groups = class_ids(signals[Signal.TARGETS]) if self.class_balanced else None
        strict = round(budget * strictness(signals.progress, self.ramp))
        kept = top_by_score(scores, strict, groups=groups)
        if strict < budget:
            draws[kept] = torch.inf  # taken already
            kept = torch.cat([kept, draws.argsort(stable=True)[: budget - strict]])
        return Subset.uniform(signals.ids[kept])

    def cost(self, n: int, budget: int, width: int) -> float:
        """A draw per candidate, and two sorts."""
        return shuffle_cost(n) + 2 * sort_cost(n)


def strictness(progress: float, ramp: float) -> float:
    """Share of the budget that goes to the smallest losses, min(progress / ramp, 1), in [0, 1].

    In the original, batches shrink as the schedule grows strict; here the budget stays.
    """
    return min(progress / ramp, 1.0) if ramp > 0 else 1.0


def clean_scores(losses: Tensor, covered: Tensor, draws: Tensor) -> Tensor:
    """Likelihood order of being clean: higher is likelier, unseen samples above all others.

    Args:
        losses: Per-sample losses, shape (n,); undefined where not covered.
        covered: Whether a sample has a loss, shape (n,).
        draws: Uniform numbers in [0, 1), shape (n,), which order the unseen samples.

    Returns:
        Scores, shape (n,); not finite where the loss is not.
    """
    usable = covered & torch.isfinite(losses)
    scores = -losses.double()
    top = scores[usable].max() if bool(usable.any()) else scores.new_zeros(())
    return torch.where(covered, scores, top + 1 + draws)
