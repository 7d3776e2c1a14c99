"""What the user believes about where the best lies, used while it proves right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import numpy as np

from autotune.errors import ConfigurationError, SpaceError, unknown
from autotune.events import SEARCH, Config, Event, Proposed
from autotune.searching.base import Searcher
from autotune.searching.standing import Standing
from autotune.searching.tpe import TPE
from autotune.seeds import derive
from autotune.space import Choice, SearchSpace
from autotune.space.dimensions import Dimension

NEAR: Final = 4.0  # mean squared distance in spreads up to which a trial speaks for or against the beliefs
GOOD: Final = 3  # the best third at a rung
NEARBY: Final = "near the beliefs"
FAR: Final = "far from them"


@dataclass(frozen=True)
class Belief:
    """Where the best value of a parameter is believed to lie.

    Attributes:
        value: The most likely one.
        spread: Standard deviation where the range has the width 1 (its logarithm, if it is a logarithmic
            one), in (0, 1]; of a choice, the probability of any other option than `value`.
    """

    value: Any
    spread: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.spread <= 1:
            raise ConfigurationError(f"belief.spread must be in (0, 1], got {self.spread}")

    def draw(self, dim: Dimension, generator: np.random.Generator) -> float:
        """A quantile of the dimension."""
        if isinstance(dim, Choice) and generator.random() < self.spread:
            return float(generator.random())
        if isinstance(dim, Choice):
            return dim.quantile(self.value)
        while True:  # a normal distribution, cut off where the range ends
            drawn = dim.quantile(self.value) + self.spread * generator.standard_normal()
            if 0.0 <= drawn <= 1.0:
                return float(drawn)

    def distance(self, dim: Dimension, value: Any) -> float:
        """Squared, in spreads."""
        if isinstance(dim, Choice):
            return 0.0 if value == self.value else 2 * NEAR
        return ((dim.quantile(value) - dim.quantile(self.value)) / self.spread) ** 2


@dataclass
class PriorState:
    """The searcher's own state, and how those near the beliefs and the others have fared.

    Attributes:
        space: Where to search.
        inner: The searcher's state.
        standing: Of all trials, those near the beliefs and the others as groups.
    """

    space: SearchSpace
    inner: Any
    standing: Standing = field(default_factory=Standing)


@final
@dataclass(frozen=True)
class Prior(Searcher[PriorState]):
    """Draw some proposals from beliefs about single parameters; the others are the searcher's.

    The first trial of a study, where this proposes it, is what is believed most likely; where a fair start or
    starting points come first, all is drawn. Afterwards beliefs and searcher take turns by chance, in
    proportion to the share of good trials, the best third where they have come, among those near the beliefs
    and among the others. Wrong beliefs so get ever fewer trials; right ones get up to three of four.
    As in PriorBand (Mallik et al., NeurIPS 2023), from which this differs in having no brackets.

    Attributes:
        beliefs: By the name of a parameter, a `Belief`; a plain value is one with the default spread.
        searcher: What proposes the rest, and the parameters without beliefs. It learns from all trials.
    """

    beliefs: Mapping[str, Belief]
    searcher: Searcher[Any] = field(default_factory=TPE)

    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.searcher.counts:
            kind = type(self.searcher).__name__
            raise ConfigurationError(
                f"searcher must not count its trials, which {kind} does; put it outside, such as "
                "FairStart(Prior(beliefs)) or StartingPoints(Prior(beliefs), points)"
            )
        given = {n: one if isinstance(one, Belief) else Belief(one) for n, one in self.beliefs.items()}
        object.__setattr__(self, "beliefs", given)

    def initial(self, space: SearchSpace) -> PriorState:
        """Check the beliefs, so that a wrong one costs nothing.

        Raises:
            SpaceError: When a name is unknown, or a value nowhere in the space.
        """
        for name, belief in self.beliefs.items():
            if name not in space.names():
                raise SpaceError(f"beliefs: {unknown('parameter', name, space.names())}")
            problems = [_refusal(dim, belief.value) for own, _, dim in space.places() if own == name]
            if all(problems):
                raise SpaceError(f"the belief about {name!r}: {problems[0]}")
        return PriorState(space, self.searcher.initial(space))

    def apply(self, state: PriorState, event: Event) -> PriorState:
        """The searcher sees every event."""
        group = ""
        if isinstance(event, Proposed) and event.phase == SEARCH:
            group = NEARBY if self._is_near(state.space, event.config) else FAR
        state.standing.apply(event, group)
        state.inner = self.searcher.apply(state.inner, event)
        return state

    def propose(self, state: PriorState, trial: int, seed: int) -> Config | None:
        """One of the beliefs', or the searcher's."""
        config = self.searcher.propose(state.inner, trial, seed)
        drawing = np.random.default_rng(derive(seed, "prior", trial))
        first = not state.standing.configs
        if config is None or not (first or drawing.random() < self.share(state)):
            return config
        return self._believed(state.space, config, drawing, likeliest=first)

    def share(self, state: PriorState) -> float:
        """Of the next proposals, for the beliefs; in [0, 3/4]."""
        near, far = (
            (1 + state.standing.outstanding(group, GOOD)) / (2 + state.standing.answered(group))
            for group in (NEARBY, FAR)
        )
        return min(0.75, near / (near + far))

    def _believed(
        self, space: SearchSpace, config: Config, drawing: np.random.Generator, likeliest: bool
    ) -> dict[str, Any]:
        """A configuration with drawn values where there are beliefs, and else its own where it has any."""
        quantiles = {key: float(drawing.random()) for _, key, _ in space.places()} | space.quantiles(config)
        for key, dim, belief in self._held(space):
            quantiles[key] = dim.quantile(belief.value) if likeliest else belief.draw(dim, drawing)
        return space.at(quantiles)

    def _is_near(self, space: SearchSpace, config: Config) -> bool:
        values = space.optuna_of(config)
        held = [(key, dim, belief) for key, dim, belief in self._held(space) if key in values]
        distances = [belief.distance(dim, values[key]) for key, dim, belief in held]
        return bool(distances) and math.fsum(distances) / len(distances) <= NEAR

    def _held(self, space: SearchSpace) -> Iterator[tuple[str, Dimension, Belief]]:
        """The places in the space at which a belief can be true, with their keys."""
        for name, key, dim in space.places():
            belief = self.beliefs.get(name)
            if belief is not None and _refusal(dim, belief.value) is None:
                yield key, dim, belief


def _refusal(dim: Dimension, value: Any) -> str | None:
    try:
        dim.accept(value)
    except SpaceError as error:
        return str(error)
    return None
