"""Selection in parts, for signals that are more than one process may hold at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from autotune.data.columns import Array
from autotune.errors import SelectorError
from autotune.numerics.submodular import parted
from autotune.seeds import derive
from autotune.selection import Selector, Subset, selector_name
from autotune.signals import Signal, Signals
from autotune.training.passing import Spread

SHARE: Final = 1 / 8  # of the memory, for signals: rules copy them, some in double precision


@final
@dataclass(frozen=True)
class Part:
    """What one call of a selector is given.

    Attributes:
        ids: Candidates.
        readings: Their signals.
        budget: How many of them to pick.
    """

    ids: Tensor
    readings: Mapping[Signal, Tensor]
    budget: int


@final
@dataclass(frozen=True)
class InParts:
    """How a selection is cut up.

    Attributes:
        parts: Positions of the candidates of each part, drawn at random.
        first: How many are picked from each.
        second: Whether the budget is picked from all that were; else those of the first round are it.
    """

    parts: tuple[Array, ...]
    first: tuple[int, ...]
    second: bool


def cut_up(n: int, budget: int, fits: int, generator: torch.Generator) -> InParts:
    """Parts of about `fits` candidates, and a second round over as many where that is above the budget.

    Args:
        n: Candidates.
        budget: To pick, in [1, n].
        fits: Candidates that one call can be given, at least 1.
        generator: Draws the parts.
    """
    parts = tuple(part.numpy() for part in parted(n, math.ceil(n / fits), generator))
    wanted = min(n, max(budget, fits))
    exact = np.array([wanted * len(part) / n for part in parts])
    first = np.floor(exact).astype(np.int64)
    largest_rest = np.argsort(first - exact, kind="stable")
    first[largest_rest[: wanted - int(first.sum())]] += 1
    return InParts(parts, tuple(first.tolist()), wanted > budget)


def select_in_parts(
    selector: Selector,
    ids: Array,
    readings: Mapping[Signal, Array],
    budget: int,
    fits: int,
    seed: int,
    spread: Spread,
) -> tuple[Subset, InParts]:
    """Pick from each part, then from all that was picked (GreeDi with a first round of a bounded size).

    The bound of `numerics.submodular.two_rounds` needs as many picks from each part as the whole budget.
    Where that is more than memory holds, each part gives its share, or some times as much.

    Args:
        selector: A nested one: all samples that it picks weigh alike.
        ids: Candidates, sorted.
        readings: Their signals; arrays on disk are read part by part.
        budget: How many to pick.
        fits: Candidates that one call can be given.
        seed: Decides the parts and what the selector draws.
        spread: Where parts are looked at.

    Raises:
        SelectorError: When the selector needs to see everything at once.
    """
    if not selector.nested:
        raise SelectorError(
            f"selector {selector_name(selector)!r} has to see all {len(ids)} candidates at once, of which "
            f"memory_gib lets it see {fits}; raise memory_gib, or choose a selector that is nested, such as "
            "k_center or facility_location"
        )
    cut = cut_up(len(ids), budget, fits, torch.Generator().manual_seed(derive(seed, "parts")))

    def part(positions: Array, count: int) -> Part:
        taken = {
            signal: torch.from_numpy(np.array(values if signal.of_target_split else values[positions]))
            for signal, values in readings.items()
        }
        return Part(torch.from_numpy(ids[positions]), taken, count)

    def rounds() -> Iterator[Part]:
        for positions, count in zip(cut.parts, cut.first, strict=True):
            if count:
                yield part(positions, count)

    choose = partial(picked, selector=selector, seed=derive(seed, "select"))
    first = torch.cat(list(spread.map(choose, rounds())))
    if not cut.second:
        return Subset.uniform(first.sort().values), cut
    positions = np.searchsorted(ids, first.sort().values.numpy())
    return Subset.uniform(choose(part(positions, budget))), cut


def picked(part: Part, selector: Selector, seed: int) -> Tensor:
    """What the selector picks from one part, in its order."""
    signals = Signals(part.ids, part.readings, progress=1.0)
    return selector.select(signals, part.budget, torch.Generator().manual_seed(seed)).ids
