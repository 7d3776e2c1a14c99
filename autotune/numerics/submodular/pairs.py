"""Objectives of pairs of picks: graph cut and log-determinant."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.similarity import ALL, Similarities, totals
from autotune.numerics.submodular.greedy import Objective


@final
class GraphCut(Objective):
    """Similarity of the set to all points, less `redundancy` times that among its own members.

    f(S) = sum of s_ij over i in V, j in S, less redundancy * sum of s_ij over i, j in S, i not j. Submodular;
    monotone while redundancy <= 1/2. A pick costs one row of similarities, and all gains are up to date.

    Args:
        given: Similarities of samples to each other.
        redundancy: At least 0.
    """

    def __init__(self, given: Similarities, redundancy: float) -> None:
        self.candidates = given.shape[0]
        self._gain = totals(given)
        self.device = self._gain.device
        self._given, self._redundancy = given, redundancy

    def gains(self, candidates: Tensor) -> Tensor:
        """What each would add."""
        return self._gain[candidates]

    def add(self, candidate: int) -> None:
        """What is like it is wanted less."""
        row = self._given.block(slice(candidate, candidate + 1), ALL)[0]
        self._gain.sub_(row, alpha=2.0 * self._redundancy)


@final
class LogDet(Objective):
    """log det(I + K_S / ridge): the volume that the set spans, monotone submodular.

    The gain of a candidate is log(1 + v / ridge), where v is its variance given the set, in a Gaussian
    process with covariance K and noise `ridge`. The Cholesky factor of the set grows by one row with each
    pick, for all candidates at once: the t-th costs t products per candidate and one row of similarities.

    Reference: Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
    Recommendation Diversity", NeurIPS 2018, algorithm 1.

    Args:
        given: A positive semi-definite kernel of samples with each other, 1 on its diagonal.
        budget: How many may be added.
        ridge: Above 0, in units of the diagonal.
        memory_gib: For the factor, budget x candidates numbers.

    Raises:
        SelectorError: When the factor does not fit.
    """

    def __init__(self, given: Similarities, budget: int, ridge: float, memory_gib: float) -> None:
        self.candidates = given.shape[0]
        probe = given.block(slice(0, 1), slice(0, 1))
        self.device = probe.device
        needed = budget * self.candidates * probe.element_size() / 2**30
        if needed > memory_gib:
            raise SelectorError(
                f"memory_gib must be at least {needed:.2f} for {budget} of {self.candidates} candidates, got "
                f"{memory_gib}; raise it, or lower the budget or the pool"
            )
        self._given, self._ridge = given, ridge
        self._factor = probe.new_empty(budget, self.candidates)
        self._variance = probe.new_ones(self.candidates)
        self._added = 0

    def gains(self, candidates: Tensor) -> Tensor:
        """What each would add."""
        return torch.log1p(self._variance[candidates] / self._ridge)

    def add(self, candidate: int) -> None:
        """What it explains of the others is no news any more."""
        before, new = self._factor[: self._added], self._factor[self._added]
        row = self._given.block(slice(candidate, candidate + 1), ALL)[0]
        torch.sub(row, before[:, candidate] @ before, out=new)
        new.div_((self._variance[candidate] + self._ridge).sqrt())
        self._variance.sub_(new.square()).clamp_min_(0.0)
        self._added += 1
