"""Keep what the model already agrees with: the usual defence against wrong labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.sampling import class_ids, sort_cost, top_by_score
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("small_loss")
@dataclass(frozen=True)
class SmallLoss(Selector):
    """Keep the samples with the smallest loss.

    Networks fit clean labels before wrong ones, so the smallest losses are the likeliest to be clean. Losses
    may be left over from training. A sample that never had one cannot be judged, so it goes first, in random
    order: each is looked at once before it can be left out. A loss that is not finite goes last.

    Reference: Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels",
    NeurIPS 2018 (its small-loss rule, with one network).

    Attributes:
        class_balanced: Keep the same share of every labelled class, so that a class that is hard on the
            whole is not dropped; no effect where targets are not class ids.
    """

    class_balanced: bool = False

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS, Signal.TARGETS})

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The smallest losses, unseen samples before them."""
        losses = signals.reading(Signal.LOSS)
        draws = torch.rand(signals.n, generator=generator, device=generator.device).to(losses.values.device)
        scores = clean_scores(losses.values, losses.covered, draws)
        groups = class_ids(signals[Signal.TARGETS]) if self.class_balanced else None
        return Subset.uniform(signals.ids[top_by_score(scores, budget, groups=groups)])

    def cost(self, n: int, budget: int, width: int) -> float:
        """One draw and one comparison per candidate, and a sort: 2n + n log2 n."""
        return 2.0 * n + sort_cost(n)


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
