"""Objectives of pairs of picks: graph cut and log-determinant."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.similarity import ALL, Similarities, totals
from autotune.submodular.greedy import Objective


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
    process with covariance K and noise `ridge`. Each candidate has a row of the Cholesky factor, which is
    extended by the picks that it has not seen when its gain is asked for.

    References: Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
    Recommendation Diversity", NeurIPS 2018, algorithm 1; Hemmi et al., "Lazy and Fast Greedy MAP Inference
    for Determinantal Point Process", NeurIPS 2022.

    Args:
        given: A positive semi-definite kernel of samples with each other, 1 on its diagonal.
        budget: How many may be added.
        ridge: Above 0, in units of the diagonal.
        memory_gib: For the rows, candidates x budget numbers.

    Raises:
        SelectorError: When the rows do not fit.
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
        self._rows = probe.new_empty(self.candidates, budget)
        self._diagonal = probe.new_empty(budget)
        self._variance = probe.new_ones(self.candidates)
        self._picks = torch.empty(0, dtype=torch.long, device=self.device)
        self._seen = torch.zeros(self.candidates, dtype=torch.long, device=self.device)

    def gains(self, candidates: Tensor) -> Tensor:
        """What each would add."""
        count, seen = len(self._picks), self._seen[candidates]
        latest = seen == count - 1  # those of the gains before the last pick: one column is new
        for group in (candidates[latest], candidates[~latest & (seen < count)]):
            if len(group):
                self._extend(group, int(self._seen[group].min()), count)
        return torch.log1p(self._variance[candidates] / self._ridge)

    def _extend(self, group: Tensor, start: int, count: int) -> None:
        """Extend the rows of some candidates, which have seen the picks before `start`, up to `count`."""
        missed = self._picks[start:]
        known = self._rows[missed, :count]
        rest = self._given.block(group, missed) - self._rows[group, :start] @ known[:, :start].T
        factor = known[:, start:].tril(-1) + self._diagonal[start:count].diag()
        new = torch.linalg.solve_triangular(factor.T, rest, upper=True, left=False)
        self._rows[group, start:count] = new
        before = self._rows[group, :start].square().sum(1)
        self._variance[group] = (1.0 - before - new.square().sum(1)).clamp_min_(0.0)
        self._seen[group] = count

    def add(self, candidate: int) -> None:
        """What it explains of the others is no news any more."""
        self.gains(torch.tensor([candidate], device=self.device))
        self._diagonal[len(self._picks)] = (self._variance[candidate] + self._ridge).sqrt()
        self._picks = torch.cat([self._picks, self._picks.new_tensor([candidate])])
