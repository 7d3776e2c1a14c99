"""Non-negative ridge regression on atoms that arrive in turns, in Gram form."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

TOLERANCE: Final = 1e-12  # of a gradient, relative to the largest moment


class GrowingFit:
    """The minimiser of w'(K + r I) w / 2 - c'w over w >= 0, kept up to date while atoms are added.

    The atoms whose weight is above 0 are the support. The Cholesky factor of their K + r I is kept: atoms
    enter at its end for the cost of one product, and where one leaves it is found anew from there on. Most of
    a solution survives an addition, so few leave. Everything is float64 on the CPU: the matrices are small
    beside the data they come from.

    Reference: Lawson and Hanson, "Solving Least Squares Problems", 1974, chapter 23.

    Args:
        room: How many atoms there will be at most.
        ridge: r, above 0; it bounds the condition of every system that is solved.
    """

    def __init__(self, room: int, ridge: float) -> None:
        self.count = 0
        self._ridge = ridge
        self._gram = torch.zeros(room, room, dtype=torch.double)
        self._moments = torch.zeros(room, dtype=torch.double)
        self._weights = torch.zeros(room, dtype=torch.double)
        self._factor = torch.zeros(room, room, dtype=torch.double)  # L, lower, of the support
        self._forward = torch.zeros(room, dtype=torch.double)  # L^-1 c
        self._support = torch.zeros(room, dtype=torch.long)  # atoms, in the order of the factor
        self._size = 0

    @property
    def weights(self) -> Tensor:
        """Those of the atoms added so far, w, in their order, >= 0."""
        return self._weights[: self.count]

    def add(self, gram: Tensor, moments: Tensor) -> None:
        """Add b atoms.

        Args:
            gram: Their inner products with all atoms up to themselves, shape (b, count + b).
            moments: Their part of c, shape (b,).
        """
        old, new = self.count, self.count + len(moments)
        self._gram[old:new, :new] = gram
        self._gram[:new, old:new] = gram.T
        self._moments[old:new] = moments
        self.count = new
        self._enter(torch.arange(old, new))
        self._descend()
        least = TOLERANCE * float(self._moments[:new].abs().max())
        for _ in range(3 * new):  # enough for any but contrived data; then it is near the minimum
            if self._size == new:
                return
            slack = self._moments[:new] - self._gram[:new, :new] @ self.weights
            slack[self._support[: self._size]] = -torch.inf
            best = slack.argmax()
            if not float(slack[best]) > least:
                return
            self._enter(best[None])
            self._descend()

    def _descend(self) -> None:
        """Go to the minimum over the support; atoms whose weight would turn negative leave it on the way."""
        while self._size:
            support = self._support[: self._size].clone()
            upper = self._factor[: self._size, : self._size].mT
            solution = _solved(upper, self._forward[: self._size, None], upper=True).squeeze(1)
            falling = solution <= 0
            if not bool(falling.any()):
                self._weights[support] = solution
                return
            now = self._weights[support]
            shares = (now / (now - solution).clamp_min(1e-300)).masked_fill(~falling, torch.inf)
            share = shares.min()
            leaving = shares <= share
            self._weights[support] = (now + share * (solution - now)).masked_fill(leaving, 0.0)
            first = int(leaving.int().argmax())
            self._size = first
            self._enter(support[first:][~leaving[first:]])

    def _enter(self, atoms: Tensor) -> None:
        """Extend the factor by some atoms."""
        size, upto = self._size, self._size + len(atoms)
        factor, support = self._factor[:upto, :upto], self._support[:size]
        own = self._gram[atoms[:, None], atoms]
        own.diagonal().add_(self._ridge)
        beside = _solved(factor[:size, :size], self._gram[support[:, None], atoms], upper=False).T
        corner = torch.linalg.cholesky(own.addmm_(beside, beside.T, alpha=-1))
        factor[size:, :size], factor[size:, size:] = beside, corner
        left = self._moments[atoms] - beside @ self._forward[:size]
        self._forward[size:upto] = _solved(corner, left[:, None], upper=False).squeeze(1)
        self._support[size:upto] = atoms
        self._size = upto


def _solved(triangle: Tensor, right: Tensor, *, upper: bool) -> Tensor:
    solution: Tensor = torch.linalg.solve_triangular(triangle, right, upper=upper)
    return solution
