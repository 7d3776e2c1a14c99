"""Random draws of an exact size with exact chances, shared by rules that draw instead of rank.

Signals are sorted by sample id, so the k-th number drawn belongs to the k-th id, whatever the order of the
data.
"""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """One number in (0, 1) per sample, float64, shape (n,)."""
    drawn = torch.rand(n, generator=generator, device=generator.device, dtype=torch.double)
    return drawn.to(device).clamp_min(1e-300)


def gumbel(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Noise that, added to log-weights, makes their top k a weighted draw without replacement, shape (n,)."""
    return -torch.log(-torch.log(uniform(n, generator, device)))


def guessed(scores: Tensor, generator: torch.Generator) -> Tensor:
    """Scores in which a sample that cannot be judged yet has that of a random one that can.

    So it is taken about as often as the others, whatever the way of sampling; where nobody can be judged,
    chance decides.

    Args:
        scores: Shape (n,); not finite where unknown.
        generator: Draws one number per sample.

    Returns:
        Finite scores, float64, shape (n,).
    """
    known = torch.isfinite(scores)
    drawn, values = uniform(len(scores), generator, scores.device), scores[known].double()
    if len(values) == 0:
        return drawn
    return torch.where(
        known, scores.double(), values[(drawn * len(values)).long().clamp_max(len(values) - 1)]
    )


def inclusion(weights: Tensor, budget: int) -> Tensor:
    """Chances in proportion to weights that sum to the budget.

    Where that would exceed 1 a sample is certain, and the others share what is left.

    Args:
        weights: Finite, above 0, shape (n,).
        budget: In [1, n].

    Returns:
        Chances in (0, 1], float64, shape (n,).
    """
    weights, n = weights.double(), len(weights)
    ascending = weights.sort().values
    total = ascending.cumsum(0)
    left = torch.arange(budget - n + 1, budget + 1, device=weights.device)  # if all larger ones are certain
    fits = (left > 0) & (left * ascending <= total)
    largest = int(fits.nonzero()[-1])
    return (weights * (left[largest] / total[largest])).clamp_max(1.0)


def systematic(chances: Tensor, generator: torch.Generator) -> Tensor:
    """Draw each sample with exactly its chance, and exactly as many as the chances sum to.

    One random start, then a pick at every full unit of the cumulated chances. So of any consecutive run of
    samples as many are drawn as its chances sum to, rounded up or down: sort by stratum to stratify, or
    shuffle for a draw without structure.

    Reference: Madow, "On the Theory of Systematic Sampling, II", Annals of Mathematical Statistics 20, 1949.

    Args:
        chances: In [0, 1], shape (n,); their sum is an integer up to rounding.
        generator: Draws one number.

    Returns:
        Distinct positions, ascending, shape (sum of the chances,).
    """
    budget = round(float(chances.sum()))
    place = torch.arange(budget, device=chances.device)
    start = uniform(1, generator, chances.device)
    found = torch.searchsorted(chances.double().cumsum(0), place + start, right=True)
    found = (found - place).cummax(0).values + place if budget else found  # rounding must pick none twice,
    return torch.minimum(found, len(chances) - budget + place)  # and none beyond the last


def shuffled_within(groups: Tensor, generator: torch.Generator) -> Tensor:
    """Positions sorted by group, numbered from 0, in random order inside each; shape (n,)."""
    return (groups + uniform(len(groups), generator, groups.device)).argsort(stable=True)


def from_groups(groups: Tensor, shares: Tensor, budget: int, generator: torch.Generator) -> Tensor:
    """Draw from groups by given shares, and inside each group everyone before anyone repeats.

    A group's number is its share of the budget rounded up or down by chance, so that on average it is exact.

    Args:
        groups: Which group each sample is in, in [0, number of groups), shape (n,); none is empty.
        shares: Share of each group, >= 0 with sum 1, shape (groups,).
        budget: How many to draw, at least 1.
        generator: Draws one number per sample, and one.

    Returns:
        Positions, shape (budget,); one repeats where its group is smaller than its part.
    """
    order, sizes = shuffled_within(groups, generator), torch.bincount(groups, minlength=len(shares))
    edges = (budget * shares.double().cumsum(0) - uniform(1, generator, groups.device)).ceil().long()
    edges[-1] = budget
    counts = edges.clamp(0, budget).diff(prepend=edges.new_zeros(1))
    group = torch.repeat_interleave(torch.arange(len(shares), device=groups.device), counts)
    place = torch.arange(budget, device=groups.device) - (counts.cumsum(0) - counts)[group]
    return order[(sizes.cumsum(0) - sizes)[group] + place % sizes[group]]
