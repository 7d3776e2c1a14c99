"""Every combination, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from autotune.errors import SpaceError
from autotune.events import Config, Event
from autotune.searching.base import Searcher
from autotune.space import SearchSpace


@final
@dataclass(frozen=True)
class GridSearch(Searcher[SearchSpace]):
    """Try every combination in order, the last parameter of the space running fastest.

    Attributes:
        points: Values per range, both ends included; at least 1. A choice has all its options.
        most: Refuse spaces with more combinations.
    """

    points: int = 3
    most: int = 10_000

    counts: ClassVar[bool] = True
    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.points < 1:
            raise SpaceError(f"points must be at least 1, got {self.points}")

    def initial(self, space: SearchSpace) -> SearchSpace:
        """The space is all there is to know.

        Raises:
            SpaceError: When it has more combinations than `most`.
        """
        combinations = space.combinations(self.points)
        if combinations > self.most:
            raise SpaceError(
                f"a grid of points={self.points} over this space has {combinations} combinations, "
                f"above most={self.most}; fix some parameters, lower points or use RandomSearch"
            )
        return space

    def apply(self, state: SearchSpace, event: Event) -> SearchSpace:
        """Nothing is learnt."""
        return state

    def propose(self, state: SearchSpace, trial: int, seed: int) -> Config | None:
        """The combination number `trial`; None after the last."""
        if trial >= state.combinations(self.points):
            return None
        return state.combination(trial, self.points)
