"""Searchers with a model of one rung at a time."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from autotune.errors import ConfigurationError, unknown
from autotune.events import Config, Event
from autotune.searching.base import Searcher
from autotune.searching.observed import ELITE, Observed
from autotune.searching.random import RandomSearch
from autotune.searching.sobol import Sobol
from autotune.seeds import derive
from autotune.space import SearchSpace

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

OPENINGS: Final[Mapping[str, Searcher[SearchSpace]]] = {"random": RandomSearch(), "sobol": Sobol()}


@dataclass(frozen=True)
class Modelled(Searcher[Observed]):
    """Propose from a model of one rung, the highest with enough finite results.

    Results of different rungs are not comparable, and a trial that waits or was stopped below has no result
    there. A trial enters once, with its score at that rung. Until a rung qualifies, proposals are those of
    the opening.

    A conditional space is modelled level by level: the parameters that every configuration has jointly,
    then those of each chosen option jointly, from the trials that have them.

    Further objectives and constraints of a study are told to the sampler as what they are.

    Attributes:
        copes_with_gaps: Whether the sampler models trials that lack some of the parameters.
        takes_fractions: Whether whole numbers of a wide range may be told to it as fractions.
        copes_with_failures: Whether it takes trials that failed, told as running, for ones to keep away from.
        startup: Finite results that a rung needs, beside one more than a configuration has parameters.
        history: Most finished trials a model is built from: the best 25 and the most recent of the rest; as
            many running ones at most. At least 50. It bounds the time of a proposal.
        opening: `random`, or `sobol` for proposals that cover the space more evenly.
    """

    copes_with_gaps: ClassVar[bool] = False
    takes_fractions: ClassVar[bool] = False
    copes_with_failures: ClassVar[bool] = True
    several: ClassVar[bool] = True

    startup: int = 10
    history: int = 250
    opening: str = "random"

    def __post_init__(self) -> None:
        if self.startup < 2:
            raise ConfigurationError(f"startup must be at least 2 results, got {self.startup}")
        if self.history < 2 * ELITE:
            raise ConfigurationError(f"history must be at least {2 * ELITE} trials, got {self.history}")
        if self.opening not in OPENINGS:
            raise ConfigurationError(f"opening: {unknown('opening', str(self.opening), OPENINGS)}")

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """A fresh sampler of Optuna's."""

    def initial(self, space: SearchSpace) -> Observed:
        """No trials."""
        return Observed(space)

    def apply(self, state: Observed, event: Event) -> Observed:
        """Follow search trials; those of other phases never enter."""
        state.apply(event)
        return state

    def propose(self, state: Observed, trial: int, seed: int) -> Config | None:
        """A configuration from the model of one rung, or one of the opening; never None."""
        needed = max(self.startup, state.space.dimensions + 1)
        rung = state.rung(needed)
        if rung is None or state.space.dimensions == 0:
            return OPENINGS[self.opening].propose(state.space, trial, seed)
        from autotune.searching.snapshot import suggest  # importing Optuna takes a second

        told = [
            one
            for one in state.told(rung, self.history)
            if self.copes_with_failures or one.score is None or math.isfinite(one.score)
        ]
        sampler = self.sampler(derive(seed, "searching", trial) % 2**32)
        objectives = 1 + len(state.aims.objectives)
        gaps, fractions = self.copes_with_gaps, self.takes_fractions
        return suggest(state.space, told, sampler, gaps, objectives, fractions)
