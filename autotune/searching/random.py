"""Independent draws: the baseline of every searcher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from autotune.events import Config, Event
from autotune.searching.base import Searcher
from autotune.seeds import derive
from autotune.space import SearchSpace


@final
@dataclass(frozen=True)
class RandomSearch(Searcher[SearchSpace]):
    """Draw every configuration independently; proposals do not depend on any result."""

    several: ClassVar[bool] = True

    def initial(self, space: SearchSpace) -> SearchSpace:
        """The space is all there is to know."""
        return space

    def apply(self, state: SearchSpace, event: Event) -> SearchSpace:
        """Nothing is learnt."""
        return state

    def propose(self, state: SearchSpace, trial: int, seed: int) -> Config | None:
        """A draw of the trial's own generator; never None."""
        return state.sample(np.random.default_rng(derive(seed, "searching", trial)))
