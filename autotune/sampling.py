"""From scores to positions: what every score method shares, so that importance and sampling stay apart."""

from __future__ import annotations

import torch
from torch import Tensor

from autotune.signals import Signal, Signals


def observed(signals: Signals, signal: Signal) -> Tensor:
    """The values of a floating-point signal, with NaN where a sample has none."""
    reading = signals.reading(signal)
    if bool(reading.covered.all()):
        return reading.values
    hidden = ~reading.covered.view(-1, *[1] * (reading.values.dim() - 1))
    return reading.values.masked_fill(hidden, torch.nan)


def rank(scores: Tensor) -> Tensor:
    """Positions from the highest score to the lowest; what is not finite comes last.

    Ties keep their order, and signals are sorted by sample id, so ties fall to the lowest ids.

    Args:
        scores: Shape (n,); higher is better.

    Returns:
        A permutation of 0..n-1, shape (n,).
    """
    usable = torch.isfinite(scores)
    by_score = scores.masked_fill(~usable, 0).argsort(descending=True, stable=True)
    return torch.cat([by_score[usable[by_score]], (~usable).nonzero().squeeze(1)])


def top_by_score(scores: Tensor, budget: int, *, skip: float = 0.0, groups: Tensor | None = None) -> Tensor:
    """The `budget` positions of the highest scores, best first.

    What is not finite is taken only when nothing else is left, and skipping never forces it in.

    Args:
        scores: Shape (n,); higher is better.
        budget: How many to take, in [1, n].
        skip: Share of all samples to set aside first, from the top, in [0, 1); the budget is always met.
        groups: Group of each sample, shape (n,), integers; each group then gets its proportional share.

    Returns:
        Distinct positions, shape (budget,).
    """
    order = rank(scores)
    finite = int(torch.isfinite(scores).sum())
    aside = min(int(skip * len(scores)), max(0, finite - budget))
    order, finite = order[aside:], finite - aside
    if groups is None or budget >= finite:
        return order[:budget]
    order = order[:finite]
    _, group, sizes = torch.unique(groups[order], return_inverse=True, return_counts=True)
    by_group = group.argsort(stable=True)
    first = (sizes.cumsum(0) - sizes)[group[by_group]]
    place = torch.empty_like(order)
    place[by_group] = torch.arange(finite, device=order.device) - first
    return order[place < proportional(sizes, budget)[group]]


def proportional(sizes: Tensor, budget: int) -> Tensor:
    """Split a budget over groups in proportion to their sizes, by largest remainder; ties to the first.

    Args:
        sizes: Group sizes, shape (groups,), positive integers.
        budget: At most the sum of the sizes.

    Returns:
        Integers that sum to `budget`, each at most its group's size.
    """
    total = int(sizes.sum())
    whole = sizes * budget // total
    remainder = sizes * budget % total  # integers: no rounding decides who gets the last sample
    extra = remainder.argsort(descending=True, stable=True)[: budget - int(whole.sum())]
    whole[extra] += 1
    return whole


def class_ids(targets: Tensor) -> Tensor | None:
    """The class of each sample, or nothing where the targets are not class ids (regression)."""
    return targets if targets.dim() == 1 and not targets.is_floating_point() else None


def sort_cost(n: int) -> float:
    """Operations of sorting n scores, counted as FLOPs: n log2 n comparisons."""
    return n * max(1, (n - 1).bit_length())
