"""Mix sources by how much there is still to learn in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import from_groups
from autotune.sampling import observed, shuffle_cost, sort_cost
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("doremi")
@dataclass(frozen=True)
class DoReMi(Selector):
    """Draw more from the sources whose loss is farther above that of a reference model.

    The exponentiated-gradient updates are replayed from the loss history at every selection, since a rule
    remembers nothing. The paper runs them on a small proxy model at every step and averages the shares for
    another model to use; here they serve the model itself, so the last ones are used. Within a source samples
    are equally likely, and none repeats before all of it was drawn.

    Reference: Xie et al., "DoReMi: Optimizing Data Mixtures Speeds Up Language Model Pretraining",
    NeurIPS 2023, algorithm 1.

    Attributes:
        step: Size of an update, in [0, 100]; 0 is the natural mixture but for the smoothing.
        smoothing: Weight of the even mixture after each update, in [0, 1].
    """

    step: float = 1.0
    smoothing: float = 1e-3

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.GROUPS, Signal.LOSS_HISTORY, Signal.REFERENCE_LOSS}
    )
    tolerates_gaps: ClassVar[bool] = True
    replacement = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.step <= 100.0:
            raise SelectorError(f"step must be in [0, 100], got {self.step}")
        if not 0.0 <= self.smoothing <= 1.0:
            raise SelectorError(f"smoothing must be in [0, 1], got {self.smoothing}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """A draw from each source, in random order inside it."""
        _, group = torch.unique(signals[Signal.GROUPS], return_inverse=True)
        history, reference = observed(signals, Signal.LOSS_HISTORY), observed(signals, Signal.REFERENCE_LOSS)
        shares = doremi_shares(group, history, reference, self.step, self.smoothing)
        return Subset.uniform(signals.ids[from_groups(group, shares, budget, generator)])

    def cost(self, n: int, budget: int, width: int) -> float:
        """A look-up per entry of the history, a draw, and two sorts; `width` is its length."""
        return shuffle_cost(n * width) + shuffle_cost(n) + 2 * sort_cost(n)


def doremi_shares(groups: Tensor, losses: Tensor, reference: Tensor, step: float, smoothing: float) -> Tensor:
    """Share of each source after one update per column of the history, from their natural shares.

    An update multiplies a share by exp(eta x mean excess loss), makes them sum to 1, and mixes in c of the
    even mixture. Excess losses are cut at 0 for each sample, where the paper does so for each token. A source
    nobody saw in a column has the mean over all sources there, so that it is neither raised nor lowered for
    being rare.

    Args:
        groups: Which source each sample is in, in [0, number of sources), shape (n,); none is empty.
        losses: Training losses, shape (n, t), oldest first; NaN where unknown.
        reference: Losses of the reference model, shape (n,); NaN where unknown.
        step: eta, at least 0.
        smoothing: c, in [0, 1].

    Returns:
        Shares >= 0 that sum to 1, float64, shape (sources,).
    """
    sizes = torch.bincount(groups)
    shares = sizes.double() / sizes.sum()
    for column in losses.unbind(1):
        excess = (column - reference).double().clamp_min(0)
        known = torch.isfinite(excess)
        sums = torch.bincount(groups[known], excess[known], minlength=len(sizes))
        counts = torch.bincount(groups[known], minlength=len(sizes))
        mean = torch.where(counts > 0, sums / counts, sums.sum() / counts.sum().clamp_min(1))
        shares = torch.softmax(shares.log() + step * mean, 0)
        shares = (1 - smoothing) * shares + smoothing / len(sizes)
    return shares
