"""Quasi-random proposals: independent of all results, and more even than random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from autotune.events import Config, Event
from autotune.searching.base import Searcher
from autotune.seeds import derive
from autotune.space import SearchSpace


@final
@dataclass(frozen=True)
class Sobol(Searcher[SearchSpace]):
    """Draw from a scrambled Sobol sequence (Sobol, 1967; Owen, 1998), one coordinate for each parameter.

    A parameter that exists only under an option has its coordinate too, which is not read under others.
    """

    several: ClassVar[bool] = True

    def initial(self, space: SearchSpace) -> SearchSpace:
        """The space is all there is to know."""
        return space

    def apply(self, state: SearchSpace, event: Event) -> SearchSpace:
        """Nothing is learnt."""
        return state

    def propose(self, state: SearchSpace, trial: int, seed: int) -> Config | None:
        """The point number `trial` of the study's sequence; never None."""
        from scipy.stats import qmc  # slow to import, and seldom wanted

        keys = [key for _, key, _ in state.places()]
        sequence = qmc.Sobol(len(keys), rng=derive(seed, "sobol") % 2**32)
        if trial:
            sequence.fast_forward(trial)
        point = dict(zip(keys, sequence.random(1)[0].tolist(), strict=True))
        return state.at(point)
