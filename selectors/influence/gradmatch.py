"""Pick samples, and weights for them, whose gradients add up to that of all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.classwise import weighted_by_class
from autotune.errors import SelectorError
from autotune.numerics.influence import alignment_cost, at_least_single, finite_factors
from autotune.numerics.pursuit import LastLayer, Rows, matching_pursuit
from autotune.sampling import observed
from autotune.selection import Selector, Subset, check_positive, register
from autotune.signals import Signal, Signals

MOST: Final = (
    4096  # picks that are fitted together: there is a number for each two, and the time is their cube
)


@final
@register("gradmatch")
@dataclass(frozen=True)
class GradMatch(Selector):
    """Pick samples, and weights for them, whose last-layer gradients add up to that of all candidates.

    Each labelled class is matched by itself and gets its proportional share, in parts where it is to pick
    thousands. A sample has weight 0 where the
    others say it all. Where a class has nothing to match, its picks count alike.

    Reference: Killamsetty et al., "GRAD-MATCH: Gradient Matching based Data Subset Selection for Efficient
    Deep Model Training", ICML 2021.

    Attributes:
        regularisation: Of the weights, relative to the mean squared norm of the gradients, above 0; more of
            it spreads the weight.
        rounds: In how many blocks the samples of a class are picked; weights are fitted after each. From the
            budget on they are picked one by one, as published.
        batch: Samples per pick. Above 1, random batches of all classes are matched instead, and the samples
            of one share its weight (GradMatchPB): far fewer picks.
    """

    regularisation: float = 0.1
    rounds: int = 30
    batch: int = 1

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.EMBEDDINGS, Signal.ERRORS, Signal.TARGETS})

    def __post_init__(self) -> None:
        check_positive("regularisation", self.regularisation, 0.1)
        for name in ("rounds", "batch"):
            if getattr(self, name) < 1:
                raise SelectorError(f"{name} must be at least 1, got {getattr(self, name)}")

    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """Picks in their order, class by class; samples whose factors are not finite come last."""
        embeddings = at_least_single(observed(signals, Signal.EMBEDDINGS))
        errors = at_least_single(observed(signals, Signal.ERRORS))

        def samples(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
            atoms = LastLayer(embeddings[rows], errors[rows])
            return matching_pursuit(atoms, count, self.regularisation, self.rounds)

        def batches(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
            shuffle = torch.randperm(len(rows), generator=generator, device=generator.device)
            order = shuffle.to(rows.device)
            given = embeddings[rows[order]], errors[rows[order]]
            places, weights = match_batches(*given, count, self.batch, self.regularisation, self.rounds)
            return order[places], weights

        usable, by_batch = finite_factors(embeddings, errors), self.batch > 1
        choose = batches if by_batch else samples
        return weighted_by_class(
            signals, usable, budget, choose, together=by_batch, at_once=MOST * self.batch
        )

    def cost(self, n: int, budget: int, width: int) -> float:
        """A product with all candidates in each round, 2 n o (d + 2), and k^2 (d + rounds) to fit k picks.

        More picks than `MOST` are fitted in parts of so many.
        """
        picks = math.ceil(budget / self.batch)
        rounds = min(self.rounds, picks)
        fitting = float(picks) * min(picks, MOST) * (width + rounds)
        return alignment_cost(n, width) * rounds / self.batch + fitting


def match_batches(
    embeddings: Tensor, errors: Tensor, budget: int, size: int, regularisation: float, rounds: int
) -> tuple[Tensor, Tensor]:
    """Match the sum of all gradients by whole batches, each the samples that stand together.

    Args:
        embeddings: Inputs of the last layer, finite, shape (n, width).
        errors: Gradients with respect to its outputs, finite, shape (n, outputs).
        budget: Samples to take, in [1, n]; the batch picked last is cut to it.
        size: Samples in a batch, at least 1. What is left over is a batch only where all are needed.
        regularisation: As in `matching_pursuit`.
        rounds: Likewise.

    Returns:
        Distinct positions, and the weights >= 0 of their batches, both of shape (budget,).
    """
    n, count = len(errors), math.ceil(budget / size)
    batches = n // size if count <= n // size else count
    atoms = Rows(batch_gradients(embeddings[: batches * size], errors[: batches * size], size))
    picks, weights = matching_pursuit(atoms, count, regularisation, rounds)
    samples = (picks[:, None] * size + torch.arange(size, device=picks.device)).flatten()
    inside = samples < n
    return samples[inside][:budget], weights.repeat_interleave(size)[inside][:budget]


def batch_gradients(embeddings: Tensor, errors: Tensor, size: int) -> Tensor:
    """Last-layer gradients, each summed over `size` consecutive samples.

    Args:
        embeddings: h, shape (n, width).
        errors: e, shape (n, outputs).
        size: At least 1; the last batch may be smaller.

    Returns:
        Shape (batches, outputs * (width + 1)): only n / size rows, so they may be held.
    """
    short = -len(errors) % size
    inputs = F.pad(embeddings, (0, 1), value=1.0)
    left = F.pad(errors, (0, 0, 0, short)).view(-1, size, errors.shape[1])
    right = F.pad(inputs, (0, 0, 0, short)).view(-1, size, inputs.shape[1])
    return torch.bmm(left.mT, right).flatten(1)
