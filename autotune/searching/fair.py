"""Every policy gets its chance before a searcher may prefer one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from autotune.errors import ConfigurationError
from autotune.events import Config, Event
from autotune.searching.base import Searcher
from autotune.searching.tpe import TPE
from autotune.seeds import derive
from autotune.space import SearchSpace


@dataclass
class FairState:
    """The space under each option, and the state of the searcher that follows."""

    spaces: tuple[SearchSpace, ...]
    inner: Any


@final
@dataclass(frozen=True)
class FairStart(Searcher[FairState]):
    """Try each option of a choice in turn with random settings, then go on with a searcher.

    With few trials a random start may never try some policy, and what was not tried cannot be compared with
    the winner: the baselines least of all.

    Attributes:
        searcher: What proposes the rest; it learns from the start too.
        rounds: How often each option is tried, at least 1.
        choice: The name of the choice; a space without it has no fair start.
    """

    searcher: Searcher[Any] = field(default_factory=TPE)
    rounds: int = 2
    choice: str = "policy"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigurationError(f"rounds must be at least 1, got {self.rounds}")

    def initial(self, space: SearchSpace) -> FairState:
        """One narrowed space per option."""
        options = space.options(self.choice) if self.choice in space.parameters else ()
        return FairState(
            tuple(space.fix({self.choice: option}) for option in options), self.searcher.initial(space)
        )

    def apply(self, state: FairState, event: Event) -> FairState:
        """The searcher sees every event."""
        state.inner = self.searcher.apply(state.inner, event)
        return state

    def propose(self, state: FairState, trial: int, seed: int) -> Config | None:
        """The next option in turn with random settings; after the last round, what the searcher proposes."""
        if trial >= self.rounds * len(state.spaces):
            return self.searcher.propose(state.inner, trial, seed)
        space = state.spaces[trial % len(state.spaces)]
        return space.sample(np.random.default_rng(derive(seed, "searching", trial)))
