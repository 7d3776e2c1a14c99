"""Configurations of the user's own before those of any searcher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from autotune.errors import SpaceError
from autotune.events import Config, Event
from autotune.searching.base import Searcher
from autotune.space import SearchSpace


@dataclass
class StartingState:
    """The points as the space writes them, and the state of the searcher that follows."""

    points: tuple[Config, ...]
    inner: Any


@final
@dataclass(frozen=True)
class StartingPoints(Searcher[StartingState]):
    """Try given configurations first, then go on with a searcher, which learns from them too.

    Attributes:
        searcher: What proposes the rest.
        points: Whole configurations; fixed values may be left out.
    """

    searcher: Searcher[Any]
    points: tuple[Config, ...] = field(default=())

    counts: ClassVar[bool] = True
    several: ClassVar[bool] = True

    def initial(self, space: SearchSpace) -> StartingState:
        """Check the points, so that a wrong one costs nothing.

        Raises:
            SpaceError: When a point does not lie in the space.
        """
        checked = []
        for index, point in enumerate(self.points):
            try:
                checked.append(space.validate(point))
            except SpaceError as error:
                raise SpaceError(f"starting point {index}: {error}") from error
        return StartingState(tuple(checked), self.searcher.initial(space))

    def apply(self, state: StartingState, event: Event) -> StartingState:
        """The searcher sees every event."""
        state.inner = self.searcher.apply(state.inner, event)
        return state

    def propose(self, state: StartingState, trial: int, seed: int) -> Config | None:
        """The point number `trial`; after the last, what the searcher proposes, counting from 0."""
        if trial < len(state.points):
            return state.points[trial]
        return self.searcher.propose(state.inner, trial - len(state.points), seed)
