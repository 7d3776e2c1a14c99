"""Orthogonal matching pursuit of a sum of gradients by a few of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.numerics.influence import alignment_scores, mean_gradient
from autotune.numerics.nonnegative import GrowingFit

SHORTLIST: Final = 4  # times the picks of a block are looked at while it is filled


class Atoms(Protocol):
    """What is combined: gradients, of which only products are ever asked for."""

    def __len__(self) -> int: ...

    def combined(self, picks: Tensor, weights: Tensor) -> Tensor:
        """Weighted sum of some of them, float64; one gradient."""

    def total(self) -> Tensor:
        """Sum of all of them; one gradient."""

    def products(self, gradient: Tensor) -> Tensor:
        """Inner product of each with a gradient, shape (n,)."""

    def gram(self, picks: Tensor, others: Tensor) -> Tensor:
        """Inner products of some with others, float64, shape (picks, others)."""

    def mean_square(self) -> float:
        """Mean squared norm."""


@dataclass(frozen=True)
class LastLayer(Atoms):
    """Gradients of single samples by the last layer, e [h; 1]', whose products need no gradient.

    Attributes:
        embeddings: h, finite, shape (n, width).
        errors: e, finite, shape (n, outputs).
    """

    embeddings: Tensor
    errors: Tensor

    def __len__(self) -> int:
        return len(self.errors)

    def combined(self, picks: Tensor, weights: Tensor) -> Tensor:
        """Shape (outputs, width + 1)."""
        rows = F.pad(self.embeddings[picks].double(), (0, 1), value=1.0)
        return (self.errors[picks].double() * weights[:, None]).T @ rows

    def total(self) -> Tensor:
        """Shape (outputs, width + 1)."""
        return mean_gradient(self.embeddings, self.errors) * len(self)

    def products(self, gradient: Tensor) -> Tensor:
        """In blocks."""
        return alignment_scores(self.embeddings, self.errors, gradient.to(self.errors.dtype))

    def gram(self, picks: Tensor, others: Tensor) -> Tensor:
        """<e, e'> (<h, h'> + 1)."""
        inputs = self.embeddings[picks].double() @ self.embeddings[others].double().T + 1
        return inputs * (self.errors[picks].double() @ self.errors[others].double().T)

    def mean_square(self) -> float:
        """Mean of |e|^2 (|h|^2 + 1)."""
        squares = [torch.linalg.vector_norm(part, dim=1).square() for part in (self.embeddings, self.errors)]
        return float(((squares[0] + 1) * squares[1]).double().mean())


@dataclass(frozen=True)
class Rows(Atoms):
    """Gradients that are held whole, because they are few.

    Attributes:
        rows: Finite, shape (n, k).
    """

    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def exact(self) -> Tensor:
        """The same in float64, once for all that is asked for."""
        return self.rows.double()

    def combined(self, picks: Tensor, weights: Tensor) -> Tensor:
        """Shape (k,)."""
        return weights @ self.exact[picks]

    def total(self) -> Tensor:
        """Shape (k,)."""
        return self.rows.sum(0)

    def products(self, gradient: Tensor) -> Tensor:
        """One product with a matrix."""
        return self.rows @ gradient.to(self.rows.dtype)

    def gram(self, picks: Tensor, others: Tensor) -> Tensor:
        """One product of matrices."""
        return self.exact[picks] @ self.exact[others].T

    def mean_square(self) -> float:
        """Mean of squared norms."""
        return float(torch.linalg.vector_norm(self.rows, dim=1).double().square().mean())


def matching_pursuit(atoms: Atoms, budget: int, regularisation: float, rounds: int) -> tuple[Tensor, Tensor]:
    """Pick atoms, again and again those that agree best with what is still missing from the sum of all.

    After each block of picks the weights are fitted anew: they minimise |sum_j w_j g_j - b|^2 + r |w|^2 over
    w >= 0, b the sum of all. What was picked is never picked again, whatever its weight.

    Reference: Killamsetty et al., "GRAD-MATCH: Gradient Matching based Data Subset Selection for Efficient
    Deep Model Training", ICML 2021, algorithm 2.

    Args:
        atoms: n of them.
        budget: How many to pick, in [1, n].
        regularisation: r relative to the mean squared norm of the atoms, above 0.
        rounds: In how many blocks to pick; from the budget on, they are picked one by one.

    Returns:
        Distinct positions in the order they were picked, ties to the lowest, and weights >= 0, float64, both
        of shape (budget,). The weights of gradients that are all zero are zero.
    """
    target = atoms.total().double()
    scale, device = atoms.mean_square(), target.device
    picks = torch.arange(budget, device=device)
    if not scale > 0:
        return picks, torch.zeros(budget, dtype=torch.double, device=device)
    fit, residual = GrowingFit(budget, regularisation), target
    taken = torch.zeros(len(atoms), dtype=torch.bool, device=device)
    moments = atoms.products(target).double() / scale
    weights = moments[:0]
    rounds = min(rounds, budget)
    edges = [i * budget // rounds for i in range(rounds + 1)]
    for start, end in pairwise(edges):
        wanted = atoms.products(residual).masked_fill(taken, -torch.inf)
        found = _block(atoms, wanted, end - start, scale, regularisation)
        picks[start:end], taken[found] = found, True
        fit.add((atoms.gram(found, picks[:end]) / scale).cpu(), moments[found].cpu())
        weights = fit.weights.to(device, copy=True)
        residual = target - atoms.combined(picks[:end], weights)
    return picks, weights


def _block(atoms: Atoms, wanted: Tensor, count: int, scale: float, regularisation: float) -> Tensor:
    """Positions of atoms that are much wanted, each seen after a step on those before it.

    Only the most wanted few are looked at. Without those steps, all of a block would say the same.
    """
    if count == 1:
        return wanted.argmax()[None]
    shortlist = wanted.argsort(descending=True, stable=True)[: SHORTLIST * count]
    left = wanted[shortlist].double().cpu() / scale
    gram = (atoms.gram(shortlist, shortlist) / scale).cpu()
    places = []
    for _ in range(count):
        place = int(left.argmax())
        step = float(left[place].clamp_min(0) / (gram[place, place] + regularisation))
        left -= step * gram[place]
        left[place] = -torch.inf
        places.append(place)
    return shortlist[torch.tensor(places, device=shortlist.device)]
