"""Greedy in two rounds, for data that one machine cannot hold or look at in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from autotune.errors import SelectorError


class Map(Protocol):
    """How a function is applied to each part: the built-in `map`, a pool's, or tasks on a cluster."""

    def __call__(self, function: Callable[[Tensor], Tensor], parts: Sequence[Tensor], /) -> Iterable[Tensor]:
        """The answers, in the order of the parts."""


def two_rounds(
    parts: Sequence[Tensor],
    budget: int,
    choose: Callable[[Tensor, int], Tensor],
    value: Callable[[Tensor], float],
    apply: Map = map,
) -> Tensor:
    """Pick from each part, then from all that was picked; the best of these answers (GreeDi).

    Where `choose` is greedy and both it and `value` look at the whole objective, `two_round_bound` holds. A
    local objective, of the part's own points, is what is usually given to `choose` in the first round, so
    that parts need not see each other: near the whole one where parts are drawn at random.

    References: Mirzasoleiman et al., "Distributed Submodular Maximization: Identifying Representative
    Elements in Massive Data", NIPS 2013; Barbosa et al., "The Power of Randomization: Distributed Submodular
    Maximization on Massive Datasets", ICML 2015.

    Args:
        parts: Disjoint sets of candidates, none empty; see `parted`.
        budget: How many to pick, in [1, number of candidates].
        choose: At most so many of some candidates, best first; must be picklable where `apply` needs it.
        value: The objective, of a set of candidates.
        apply: How the first round is spread.

    Returns:
        Distinct candidates, shape (budget,), in the order of the round that won.
    """
    first = list(apply(partial(choose_from, choose=choose, budget=budget), parts))
    second = choose(torch.cat(first).sort().values, budget)
    answers = [torch.cat([picks, second[~torch.isin(second, picks)]])[:budget] for picks in first]
    return max([second, *answers], key=value)


def choose_from(part: Tensor, choose: Callable[[Tensor, int], Tensor], budget: int) -> Tensor:
    """The first round on one part."""
    return choose(part, min(budget, len(part)))


def parted(n: int, parts: int, generator: torch.Generator) -> list[Tensor]:
    """Candidates 0..n-1, each put into one of so many parts by chance; sorted, and none empty.

    Raises:
        SelectorError: When there is not at least one part.
    """
    if parts < 1:
        raise SelectorError(f"parts must be at least 1, got {parts}")
    drawn = torch.randint(parts, (n,), generator=generator, device=generator.device)
    order = drawn.argsort(stable=True)
    return [part for part in torch.split(order, torch.bincount(drawn).tolist()) if len(part)]


def two_round_bound(parts: int, budget: int, *, random: bool) -> float:
    """The share of the best value that `two_rounds` of greedy reaches at least.

    Some part holds at least 1 / min(parts, budget) of the value of the best set, and greedy on it finds
    1 - 1/e of that, whatever the parts. Where they were drawn as by `parted`, the expected value is at
    least (1 - 1/e) / 2 as well (Barbosa et al.).

    Args:
        parts: How many, at least 1.
        budget: How many are picked, at least 1.
        random: Whether the parts were drawn at random, and the bound is one on average.
    """
    greedy = 1 - 1 / math.e
    certain = greedy / min(parts, budget)
    return max(certain, greedy / 2) if random else certain
