"""Keep what the model is most wrong about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.errors import SelectorError
from autotune.sampling import class_ids, observed, sort_cost, top_by_score
from autotune.selection import Selector, Subset, register
from autotune.signals import Signal, Signals


@final
@register("el2n")
@dataclass(frozen=True)
class EL2N(Selector):
    """Keep the hardest examples, after setting aside a likely mislabelled tail.

    Attributes:
        skip_hardest: Share of the candidates, the hardest, to set aside first, in [0, 1).
    """

    skip_hardest: float = 0.0

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.PROBABILITIES, Signal.TARGETS})

    def __post_init__(self) -> None:
        if not 0.0 <= self.skip_hardest < 1.0:
            raise SelectorError(f"skip_hardest must be in [0, 1), got {self.skip_hardest}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """The hardest that are left; a sample whose score is not finite comes last."""
        targets = class_ids(signals[Signal.TARGETS])
        if targets is None:
            raise SelectorError(
                "selector 'el2n' needs class ids as targets, got real numbers; try 'small_loss'"
            )
        scores = el2n_scores(observed(signals, Signal.PROBABILITIES), targets)
        return Subset.uniform(signals.ids[top_by_score(scores, budget, skip=self.skip_hardest)])

    def cost(self, n: int, budget: int, width: int) -> float:
        """3 FLOPs per candidate and class, and a sort; classes are not known here and taken as `width`."""
        return 3.0 * n * width + sort_cost(n)


def el2n_scores(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Error-vector norm ||p - onehot(y)||_2 of each example.

    Reference: Paul et al., "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    NeurIPS 2021, definition 2.2.

    Args:
        probabilities: Softmax outputs, shape (n, classes).
        targets: Class ids in [0, classes), shape (n,).

    Returns:
        Scores in [0, sqrt(2)], shape (n,); higher is harder.
    """
    scores: Tensor = (probabilities - F.one_hot(targets.long(), probabilities.shape[1])).norm(dim=1)
    return scores
