"""Every policy gets its chance, at settings that work, before a searcher may prefer one."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Config, Event, Failed, Proposed, Reported
from autotune.policy import BASELINES
from autotune.searching.base import Searcher
from autotune.searching.tpe import TPE
from autotune.seeds import derive
from autotune.space import SearchSpace


@dataclass
class FairState:
    """What the start needs to know, and the state of the searcher that follows.

    Attributes:
        narrowed: The space of each option.
        turns: The option of each trial of the start.
        settling: How many of them come first, with random settings.
        configs: Those of the search, by trial.
        best: Rung, score and configuration of the leader.
        reached: The highest rung of each trial and its score there, minus infinity after a failure.
        rankings: All finite scores by rung, ascending.
        inner: The searcher's own state.
    """

    narrowed: Mapping[str, SearchSpace]
    turns: tuple[str, ...]
    settling: int
    inner: Any
    configs: dict[int, Config] = field(default_factory=dict)
    best: tuple[int, float, Config] = (-1, -math.inf, {})
    reached: dict[int, tuple[int, float]] = field(default_factory=dict)
    rankings: dict[int, list[float]] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class FairStart(Searcher[FairState]):
    """Find settings that work under the baselines, try every other option with them, go on with a searcher.

    With few trials a random start may never try some policy, and what was not tried cannot be compared with
    the winner. A policy tried with random settings has not been tried either: most of those ruin any. And
    the baselines are cheap to judge, where a policy must have selected twice.

    After the start an option *rests* while none of its trials is among the best 1/`reduction` at the rung
    that it has reached: when the searcher proposes one, its settings are tried under another. A policy that
    lost with settings that work would otherwise be paid for again and again, each time with ten times a
    baseline's first rung, for a model of few trials hardly minds options. Baselines never rest, nor what was
    not judged yet.

    Attributes:
        searcher: What proposes the rest; it learns from the start too.
        rounds: How often each other option is tried with the leader's settings and random ones of its own,
            at least 1.
        settle: Trials with random settings before that, at least 0: the baselines in turn, or all options
            where there are no baselines among them. With few trials more would leave the others no turn.
        choice: The name of the choice; a space without it has no fair start.
        reduction: The best 1/reduction at a rung keep their option awake, at least 1; with 1 none ever rests.
    """

    searcher: Searcher[Any] = field(default_factory=TPE)
    rounds: int = 1
    settle: int = 4
    choice: str = "policy"
    reduction: int = 3

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
        if self.reduction < 1:
            raise ConfigurationError(f"reduction must be at least 1, got {self.reduction}")

    def initial(self, space: SearchSpace) -> FairState:
        """Whose turn it is in each trial of the start."""
        options = space.options(self.choice) if self.choice in space.parameters else ()
        narrowed = {option: space.fix({self.choice: option}) for option in options}
        first = [option for option in options if option in BASELINES] or list(options)
        others = [option for option in options if option not in BASELINES]
        settling = self.settle if first else 0
        turns = (*(first[trial % len(first)] for trial in range(settling)), *others * self.rounds)
        return FairState(narrowed, turns, settling, self.searcher.initial(space))

    def apply(self, state: FairState, event: Event) -> FairState:
        """Follow the leader of the search; the searcher sees every event."""
        if isinstance(event, Proposed) and event.phase == SEARCH:
            state.configs[event.trial] = event.config
        if isinstance(event, Reported | Failed) and event.trial in state.configs:
            score = event.score if isinstance(event, Reported) else -math.inf
            state.reached[event.trial] = (event.rung, score if math.isfinite(score) else -math.inf)
            if math.isfinite(score):
                insort(state.rankings.setdefault(event.rung, []), score)
                leader = (event.rung, score, state.configs[event.trial])
                state.best = max(state.best, leader, key=lambda one: one[:2])
        state.inner = self.searcher.apply(state.inner, event)
        return state

    def propose(self, state: FairState, trial: int, seed: int) -> Config | None:
        """The next option in turn; after the last, what the searcher proposes among those awake."""
        if trial >= len(state.turns):
            return self._awake(state, trial, seed)
        drawing = np.random.default_rng(derive(seed, "searching", trial))
        drawn = state.narrowed[state.turns[trial]].sample(drawing)
        if trial < state.settling or state.best[0] < 0:
            return drawn
        return self._of_option(drawn, own=True) | self._of_option(state.best[2], own=False)

    def _awake(self, state: FairState, trial: int, seed: int) -> Config | None:
        """What the searcher proposes; its settings under another option, where that one rests."""
        config = self.searcher.propose(state.inner, trial, seed)
        if config is None or not state.narrowed or config[self.choice] in BASELINES:
            return config  # who rests need not be known: it takes a look at every trial
        resting = self.resting(state)
        awake = sorted(state.narrowed.keys() - resting)
        if config[self.choice] not in resting or not awake:
            return config
        drawing = np.random.default_rng(derive(seed, "awake", trial))
        drawn = state.narrowed[awake[drawing.integers(len(awake))]].sample(drawing)
        return self._of_option(drawn, own=True) | self._of_option(config, own=False)

    def resting(self, state: FairState) -> Set[str]:
        """Options that were judged, and have no trial among the best at the rung that it has reached."""
        judged, awake = set(), set(BASELINES)
        for trial, (rung, score) in state.reached.items():
            option = str(state.configs[trial].get(self.choice))
            judged.add(option)
            ranking = state.rankings.get(rung, [])
            if ranking and score >= ranking[-max(1, len(ranking) // self.reduction)]:
                awake.add(option)
        return judged - awake

    def _of_option(self, config: Config, own: bool) -> dict[str, Any]:
        """The choice and what lies under it, or all the rest."""
        return {
            name: value
            for name, value in config.items()
            if (name == self.choice or name.startswith(f"{self.choice}.")) is own
        }
