"""Covariance matrix adaptation, fed by ranks over all rungs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Config, Event, Proposed
from autotune.searching.base import Searcher
from autotune.searching.standing import NOWHERE, Place, Standing
from autotune.seeds import derive
from autotune.space import SearchSpace


@dataclass
class CMAState:
    """The search trials in their order.

    Attributes:
        space: Where to search.
        keys: Of its parameters, one for each coordinate.
        points: Coordinates of each trial, shape (d,).
        standing: Where each trial that has answered has come.
    """

    space: SearchSpace
    keys: list[str]
    points: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)


@final
@dataclass(frozen=True)
class CMAES(Searcher[CMAState]):
    """CMA-ES (Hansen and Ostermeier, 2001) on the unit cube of the space, by the package `cmaes`.

    It asks for nothing but ranks, so a trial that came to a higher rung is better than one that did not,
    and of two at the same rung the one with the better score; failures are last. A generation is learnt from
    once all its trials have answered. For real parameters: an option is one coordinate, cut into equal
    parts, and a parameter that a configuration lacks stands in the middle of its range.

    Attributes:
        spread: Standard deviation at the beginning, in (0, 1], where every range has the width 1.
        population: Trials per generation, at least 3; 0 takes 4 + 3 ln d for d parameters.
    """

    spread: float = 0.3
    population: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.spread <= 1:
            raise ConfigurationError(f"spread must be in (0, 1], got {self.spread}")
        if self.population != 0 and self.population < 3:
            raise ConfigurationError(f"population must be at least 3, or 0, got {self.population}")

    def initial(self, space: SearchSpace) -> CMAState:
        """No trials.

        Raises:
            ConfigurationError: When the package is not installed.
        """
        _package()
        return CMAState(space, [key for _, key, _ in space.places()])

    def apply(self, state: CMAState, event: Event) -> CMAState:
        """Follow search trials."""
        state.standing.apply(event)
        if isinstance(event, Proposed) and event.phase == SEARCH:
            known = state.space.quantiles(event.config)
            state.points[event.trial] = np.array([known.get(key, 0.5) for key in state.keys])
        return state

    def propose(self, state: CMAState, trial: int, seed: int) -> Config | None:
        """A draw after all generations that have answered; never None."""
        count = len(state.keys)
        size = self.population or 4 + math.floor(3 * math.log(max(count, 2)))
        search = _package().CMA(
            mean=np.full(max(count, 2), 0.5),  # it does not do with a single coordinate
            sigma=self.spread,
            bounds=np.tile([0.0, 1.0], (max(count, 2), 1)),
            population_size=size,
            seed=derive(seed, "searching", trial) % 2**32,
        )
        numbers = sorted(state.points)
        for first in range(0, len(numbers) - size + 1, size):
            generation = numbers[first : first + size]
            if any(number not in state.standing.reached for number in generation):
                break
            ranked = sorted(generation, key=lambda number: _place(state, number), reverse=True)
            told = [(_padded(state.points[number]), float(rank)) for rank, number in enumerate(ranked)]
            search.tell(told)
        drawn = np.clip(search.ask(), 0.0, 1.0)
        return state.space.at(dict(zip(state.keys, drawn.tolist(), strict=False)))


def _place(state: CMAState, trial: int) -> Place:
    """Where a trial has come; nowhere if it failed on the way."""
    place = state.standing.reached[trial]
    return place if math.isfinite(place[1]) else NOWHERE


def _padded(point: NDArray[np.float64]) -> NDArray[np.float64]:
    return point if len(point) > 1 else np.append(point, 0.5)


def _package() -> Any:
    try:
        import cmaes
    except ImportError as error:
        raise ConfigurationError(
            "the searcher CMAES needs the package cmaes; install it: pip install cmaes"
        ) from error
    return cmaes
