"""Keep what can be learnt and is not yet: the loss above that of a model which never saw the sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from autotune.sampling import observed, sort_cost
from autotune.scoring import ScoreSelector
from autotune.selection import register
from autotune.signals import Signal, Signals


@final
@register("rho_loss")
@dataclass(frozen=True)
class RhoLoss(ScoreSelector):
    """Keep the largest reducible losses: high for the model, low for one trained on held-out data.

    What is learnt already has a low loss for both; a wrong label has a high one for both.

    Reference: Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and Not
    Yet Learnt", ICML 2022, equation 3 (there the largest of a large batch).
    """

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.LOSS, Signal.REFERENCE_LOSS, Signal.TARGETS})

    def scores(self, signals: Signals, generator: torch.Generator) -> Tensor:
        """The reducible loss."""
        return reducible_loss(observed(signals, Signal.LOSS), observed(signals, Signal.REFERENCE_LOSS))

    def cost(self, n: int, budget: int, width: int) -> float:
        """A difference per candidate, and a sort: n + 32 n log2 n."""
        return n + sort_cost(n)


def reducible_loss(losses: Tensor, reference: Tensor) -> Tensor:
    """L[y|x; D_t] - L[y|x; D_ho], the training loss less the irreducible one.

    Args:
        losses: Of the model that is being trained, shape (n,).
        reference: Of a model that was trained on other data, shape (n,).

    Returns:
        Scores, shape (n,); below 0 where the model beats the reference.
    """
    return losses - reference
