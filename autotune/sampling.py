"""From scores to positions: what every score method shares, so that importance and sampling stay apart."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import torch
from torch import Tensor

from autotune.errors import SelectorError
from autotune.numerics.draws import gumbel, uniform
from autotune.signals import Signal, Signals

STRATA: Final = 50  # of a coverage sample, as published
LOOKUP: Final = 16.0  # FLOPs of training in the time of one draw, comparison or move (ADR-007)


class Sampler(StrEnum):
    """How samples are taken by their scores."""

    TOP = "top"  # the highest; after a skipped share this is the window of BWS
    BOTTOM = "bottom"  # the lowest
    MIDDLE = "middle"  # those around the median
    COVERAGE = "coverage"  # alike from every range of scores (CCS)
    SOFTMAX = "softmax"  # drawn without replacement, the higher the likelier


def pick(
    scores: Tensor,
    budget: int,
    sampler: Sampler,
    generator: torch.Generator,
    *,
    skip: float = 0.0,
    temperature: float = 1.0,
    groups: Tensor | None = None,
) -> Tensor:
    """Positions of `budget` samples, taken by their scores; what is not finite is the last resort.

    Reference: Zheng et al., "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023 (CCS).

    Args:
        scores: Shape (n,); higher is more wanted.
        budget: How many to take, in [1, n].
        sampler: The way.
        generator: Draws one number per sample where the way is random.
        skip: Share of all samples set aside first, in [0, 1): the most wanted ones.
        temperature: Of the softmax over standardised scores, above 0.
        groups: Group of each sample, shape (n,), integers; each then gets its proportional share.

    Returns:
        Distinct positions, shape (budget,), the most wanted first.
    """
    scores = scores.double()
    match sampler:
        case Sampler.TOP:
            wanted = scores
        case Sampler.BOTTOM:
            wanted = -scores
        case Sampler.MIDDLE:
            wanted = -(_places(scores) - _middle(scores)).abs()
        case Sampler.COVERAGE:
            draws = uniform(2 * len(scores), generator, scores.device).view(2, -1)
            wanted = _covering(scores, budget, skip, draws)
            skip = 0.0  # done there: what is set aside must not be covered
        case Sampler.SOFTMAX:
            wanted = standardised(scores) / temperature + gumbel(len(scores), generator, scores.device)
            wanted[_aside(scores, budget, skip)] = torch.nan
            skip = (
                0.0  # done there: what is set aside are the highest scores, and not those that chance favours
            )
    return top_by_score(wanted, budget, skip=skip, groups=groups)


def standardised(scores: Tensor) -> Tensor:
    """Scores with mean 0 and variance 1 over those that are finite; the others stay as they are."""
    usable = scores[torch.isfinite(scores)]
    if len(usable) == 0:
        return scores
    return (scores - usable.mean()) / usable.std(correction=0).clamp_min(1e-12)


def _places(scores: Tensor) -> Tensor:
    """Each sample's place from the top, 0 for the highest; what is not finite stays not finite."""
    places = torch.empty_like(scores)
    places[rank(scores)] = torch.arange(len(scores), dtype=scores.dtype, device=scores.device)
    return places.masked_fill(~torch.isfinite(scores), torch.nan)


def _middle(scores: Tensor) -> float:
    return (int(torch.isfinite(scores).sum()) - 1) / 2


def _aside(scores: Tensor, budget: int, skip: float) -> Tensor:
    """Positions of the highest scores that are set aside, fewer where the budget could not be met."""
    finite = int(torch.isfinite(scores).sum())
    return rank(scores)[: min(int(skip * len(scores)), max(0, finite - budget))]


def _covering(scores: Tensor, budget: int, skip: float, draws: Tensor) -> Tensor:
    """Scores whose top `budget` cover every range of the given ones alike; small ranges are taken whole.

    Within a range samples are ordered by chance; the j-th of each range comes before the j+1-th of any, so
    what a range lacks goes to the others. It is the published filling, smallest range first, in one sort.
    What is set aside is wanted least, as what is not finite; draws have the shape (2, n).
    """
    finite = torch.isfinite(scores)
    aside = _aside(scores, budget, skip)
    kept = finite.clone()
    kept[aside] = False
    wanted = scores.new_full(scores.shape, torch.nan)
    values = scores[kept]
    if len(values) == 0:
        return wanted
    span = (values.max() - values.min()).clamp_min(1e-300)
    stratum = ((values - values.min()) / span * STRATA).long().clamp_max(STRATA - 1)
    order = draws[0, kept].argsort(stable=True)
    order = order[stratum[order].argsort(stable=True)]
    sizes = torch.bincount(stratum, minlength=STRATA)
    first = (sizes.cumsum(0) - sizes)[stratum[order]]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device) - first
    wanted[kept] = -place.double() + draws[1, kept] * 0.5  # of one place in all ranges, chance decides
    return wanted


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


def labels(targets: Tensor, selector: str) -> Tensor:
    """The class of each sample, for a rule that needs one.

    Raises:
        SelectorError: When the targets are not class ids.
    """
    classes = class_ids(targets)
    if classes is None:
        raise SelectorError(
            f"selector {selector!r} needs class ids as targets, got real numbers or several per sample; "
            "try 'small_loss', or another rule that looks at losses"
        )
    return classes


def shuffle_cost(n: int) -> float:
    """FLOPs that n draws, or a permutation of n, are charged."""
    return LOOKUP * n


def sort_cost(n: int) -> float:
    """FLOPs that sorting n scores is charged: n log2 n comparisons, and as many moves."""
    return 2 * LOOKUP * n * max(1, (n - 1).bit_length())
