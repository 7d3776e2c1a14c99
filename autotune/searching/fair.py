"""Every policy gets its chance, at settings that work, before a searcher may prefer one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Config, Event, Proposed, Reported
from autotune.policy import BASELINES
from autotune.searching.base import Searcher
from autotune.searching.tpe import TPE
from autotune.seeds import derive
from autotune.space import SearchSpace


@dataclass
class FairState:
    """What the start needs to know, and the state of the searcher that follows.

    Attributes:
        turns: The space of each trial of the start, narrowed to the option whose turn it is.
        settling: How many of them come first, with random settings.
        configs: Those of the search, by trial.
        best: Rung, score and configuration of the leader.
        inner: The searcher's own state.
    """

    turns: tuple[SearchSpace, ...]
    settling: int
    inner: Any
    configs: dict[int, Config] = field(default_factory=dict)
    best: tuple[int, float, Config] = (-1, -math.inf, {})


@final
@dataclass(frozen=True)
class FairStart(Searcher[FairState]):
    """Find settings that work under the baselines, try every other option with them, go on with a searcher.

    With few trials a random start may never try some policy, and what was not tried cannot be compared with
    the winner. A policy tried with random settings has not been tried either: most of those ruin any. And
    the baselines are cheap to judge, where a policy must have selected twice.

    Attributes:
        searcher: What proposes the rest; it learns from the start too.
        rounds: How often each other option is tried with the leader's settings and random ones of its own,
            at least 1.
        settle: Trials with random settings before that, at least 0: the baselines in turn, or all options
            where there are no baselines among them. With few trials more would leave the others no turn.
        choice: The name of the choice; a space without it has no fair start.
    """

    searcher: Searcher[Any] = field(default_factory=TPE)
    rounds: int = 1
    settle: int = 4
    choice: str = "policy"

    counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.searcher.counts:
            kind = type(self.searcher).__name__
            raise ConfigurationError(
                f"searcher must not count its trials, which {kind} does: a fair start takes the first; put "
                "points before it, StartingPoints(FairStart(...), points), and leave a grid alone, which "
                "tries every option anyway"
            )
        if self.rounds < 1:
            raise ConfigurationError(f"rounds must be at least 1, got {self.rounds}")
        if self.settle < 0:
            raise ConfigurationError(f"settle must be at least 0 trials, got {self.settle}")

    def initial(self, space: SearchSpace) -> FairState:
        """One narrowed space per trial of the start."""
        options = space.options(self.choice) if self.choice in space.parameters else ()
        spaces = {option: space.fix({self.choice: option}) for option in options}
        first = [spaces[option] for option in options if option in BASELINES] or list(spaces.values())
        others = [spaces[option] for option in options if option not in BASELINES]
        settling = self.settle if first else 0
        turns = (*(first[trial % len(first)] for trial in range(settling)), *others * self.rounds)
        return FairState(turns, settling, self.searcher.initial(space))

    def apply(self, state: FairState, event: Event) -> FairState:
        """Follow the leader of the search; the searcher sees every event."""
        if isinstance(event, Proposed) and event.phase == SEARCH:
            state.configs[event.trial] = event.config
        if isinstance(event, Reported) and event.trial in state.configs and math.isfinite(event.score):
            state.best = max(
                state.best, (event.rung, event.score, state.configs[event.trial]), key=lambda one: one[:2]
            )
        state.inner = self.searcher.apply(state.inner, event)
        return state

    def propose(self, state: FairState, trial: int, seed: int) -> Config | None:
        """The next option in turn; after the last, what the searcher proposes."""
        if trial >= len(state.turns):
            return self.searcher.propose(state.inner, trial, seed)
        drawn = state.turns[trial].sample(np.random.default_rng(derive(seed, "searching", trial)))
        if trial < state.settling or state.best[0] < 0:
            return drawn
        return self._of_option(drawn, own=True) | self._of_option(state.best[2], own=False)

    def _of_option(self, config: Config, own: bool) -> dict[str, Any]:
        """The choice and what lies under it, or all the rest."""
        return {
            name: value
            for name, value in config.items()
            if (name == self.choice or name.startswith(f"{self.choice}.")) is own
        }
