"""Pick block by block what lowers the target split's loss most, after a step on what was picked before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final, final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import uniform
from autotune.numerics.influence import (
    alignment_cost,
    alignment_scores,
    finite_factors,
    mean_gradient,
)
from autotune.sampling import labels, observed, top_by_score
from autotune.selection import Selector, Subset, check_positive, register
from autotune.signals import Signal, Signals

TINY: Final = 1e-12  # the smallest probability whose logarithm is taken


@final
@register("glister")
@dataclass(frozen=True)
class Glister(Selector):
    """Pick block by block what lowers the target split's loss most, the last layer moving with the picks.

    Each block takes the samples whose gradients agree best with that of the target split; then the last layer
    takes the step that the picks so far imply, and the target split's errors are computed anew.

    Reference: Killamsetty et al., "GLISTER: Generalization based Data Subset Selection for Efficient and
    Robust Learning", AAAI 2021 (its greedy with Taylor approximations); for `epsilon`: Mirzasoleiman et al.,
    "Lazier Than Lazy Greedy", AAAI 2015.

    Attributes:
        step: How far the last layer has moved when all are picked, above 0. At 1, a step on a single sample
            changes the logits of one with an embedding of mean length by its own error.
        rounds: In how many blocks the budget is picked; from the budget on, one by one.
        epsilon: Below 1 and above 0, a block looks only at a random share of the candidates, log(1 / epsilon)
            times the size of a block times n / budget; with single picks of a submodular gain the expected
            loss against the full greedy is at most this share. 0 looks at all.
    """

    step: float = 1.0
    rounds: int = 20
    epsilon: float = 0.0

    needs: ClassVar[frozenset[Signal]] = frozenset(
        {
            Signal.EMBEDDINGS,
            Signal.ERRORS,
            Signal.TARGET_SPLIT_EMBEDDINGS,
            Signal.TARGET_SPLIT_ERRORS,
            Signal.TARGET_SPLIT_TARGETS,
        }
    )

    def __post_init__(self) -> None:
        check_positive("step", self.step, 1.0)
        if self.rounds < 1:
            raise SelectorError(f"rounds must be at least 1, got {self.rounds}")
        if not 0.0 <= self.epsilon < 1.0:
            raise SelectorError(f"epsilon must be in [0, 1), got {self.epsilon}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """Picks in their order; samples whose factors are not finite come last."""
        targets = labels(signals[Signal.TARGET_SPLIT_TARGETS], "glister")
        model = TargetSplit.of(
            signals[Signal.TARGET_SPLIT_EMBEDDINGS], signals[Signal.TARGET_SPLIT_ERRORS], targets
        )
        embeddings, errors = observed(signals, Signal.EMBEDDINGS), observed(signals, Signal.ERRORS)
        picks = embeddings.new_empty(budget, dtype=torch.long)
        free = torch.ones(signals.n, dtype=torch.bool, device=errors.device)
        moved = torch.zeros_like(mean_gradient(embeddings[:0], errors[:0]))
        rounds = min(self.rounds, budget)
        edges = [i * budget // rounds for i in range(rounds + 1)]
        for start, end in pairwise(edges):
            looked = self._looked_at(free, end - start, budget, generator)
            wanted = model.gradient(moved * (self.step / budget))
            if self.epsilon:
                scores = alignment_scores(embeddings[looked], errors[looked], wanted)
            else:  # most are looked at: scoring all is cheaper than a copy of those
                scores = alignment_scores(embeddings, errors, wanted)[looked]
            found = looked[top_by_score(scores, end - start)]
            picks[start:end], free[found] = found, False
            moved += _sum(embeddings[found], errors[found])
        return Subset.uniform(signals.ids[picks])

    def cost(self, n: int, budget: int, width: int) -> float:
        """A product with all candidates in each round, 2 n o (d + 2); with `epsilon` once for all rounds."""
        share = 1.0 if self.epsilon == 0 else min(1.0, math.log(1 / self.epsilon) / min(self.rounds, budget))
        return alignment_cost(n, width) * min(self.rounds, budget) * share

    def _looked_at(self, free: Tensor, size: int, budget: int, generator: torch.Generator) -> Tensor:
        """Positions of the candidates a block looks at, ascending."""
        candidates = free.nonzero().squeeze(1)
        count = (
            math.ceil(math.log(1 / self.epsilon) * size * len(free) / budget) if self.epsilon else len(free)
        )
        if count >= len(candidates):
            return candidates
        drawn = uniform(len(free), generator, free.device)[candidates]
        return candidates[drawn.argsort(stable=True)[: max(size, count)].sort().values]


@dataclass(frozen=True)
class TargetSplit:
    """The target split, as seen by a last layer that may move.

    Attributes:
        embeddings: Inputs of the last layer, finite, shape (m, width).
        errors: Gradients of the loss by its outputs before it moved, shape (m, outputs).
        logits: Its outputs, up to a constant for each sample, shape (m, outputs).
        unit: Of steps: one over the mean squared length of [h; 1].
    """

    embeddings: Tensor
    errors: Tensor
    logits: Tensor
    unit: float

    @classmethod
    def of(cls, embeddings: Tensor, errors: Tensor, targets: Tensor) -> TargetSplit:
        """From what was collected; rows that are not finite are left out.

        The logits are found again from errors of the cross-entropy, which are p - onehot(y).
        """
        usable = finite_factors(embeddings, errors)
        embeddings, errors, targets = embeddings[usable], errors[usable], targets[usable]
        logits = (errors + F.one_hot(targets.long(), errors.shape[1])).clamp_min(TINY).log()
        square = float(embeddings.square().sum(1).mean()) if len(embeddings) else 0.0
        return cls(embeddings, errors, logits, 1 / (1 + square))

    def gradient(self, moved: Tensor) -> Tensor:
        """Mean gradient after the last layer took a step against `moved`, shape (outputs, width + 1)."""
        change = self.unit * (self.embeddings @ moved[:, :-1].T + moved[:, -1])
        errors = self.errors + (self.logits - change).softmax(1) - self.logits.softmax(1)
        return mean_gradient(self.embeddings, errors)


def _sum(embeddings: Tensor, errors: Tensor) -> Tensor:
    """Sum of the finite gradients, shape (outputs, width + 1)."""
    return mean_gradient(embeddings, errors) * int(finite_factors(embeddings, errors).sum())
