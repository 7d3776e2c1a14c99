"""Every policy gets its chance, at settings that work, before a searcher may prefer one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Config, Event, Failed, Opened, Proposed, Reported
from autotune.policy import BASELINES, POLICY, entry_fidelity, first_rung
from autotune.searching.base import Searcher
from autotune.searching.standing import Standing
from autotune.searching.tpe import TPE
from autotune.seeds import derive
from autotune.space import Choice, Fixed, SearchSpace


@dataclass
class FairState:
    """What the start needs to know, and the state of the searcher that follows.

    Attributes:
        narrowed: The space of each option.
        settlers: The options of the first trials, in turn.
        waiting: Options whose turn has not come, each as often as it has turns.
        inner: The searcher's own state.
        rungs: Of the study; empty where nobody said.
        reference: FLOPs of one reference epoch-equivalent; 0 where nobody said.
        budget: The study's, in epoch-equivalents and in trials.
        cost: Epoch-equivalents of all turns.
        standing: Of the search's trials.
        flops: What each of them has taken.
        spent: What all of them have, those that failed included.
        size: Reference epoch-equivalents per epoch-equivalent of the leader.
        taken: Number of turns.
    """

    narrowed: Mapping[str, SearchSpace]
    settlers: tuple[str, ...]
    waiting: list[str]
    inner: Any
    rungs: Sequence[float] = ()
    reference: float = 0.0
    budget: tuple[float, float] = (math.inf, math.inf)
    cost: float = 0.0
    taken: int = 0
    standing: Standing = field(default_factory=Standing)
    flops: dict[int, float] = field(default_factory=dict)
    spent: float = 0.0
    size: float = 1.0


@final
@dataclass(frozen=True)
class FairStart(Searcher[FairState]):
    """Find settings that work under the baselines, try every other option with them, go on with a searcher.

    With few trials a random start may never try some policy, and what was not tried cannot be compared with
    the winner. A policy tried with random settings has not been tried either: most of those ruin any. And
    the baselines are cheap to judge, where a policy must have selected twice: it waits until the leader has
    come as far as the rung at which it is judged first, so that it can be compared there.

    An option *rests* unless one of its trials is among the best 1/`reduction` at the rung that it has
    reached: when the searcher proposes one that rests, its settings are tried under another. A policy that
    lost with settings that work would otherwise be paid for again and again, each time with ten times a
    baseline's first rung, for a model of few trials hardly minds options. Baselines never rest.

    Attributes:
        searcher: What proposes the rest; it learns from the start too.
        rounds: How often each other option is tried with the leader's settings and random ones of its own,
            at least 1; a starting point or a settler under it is one of these turns.
        settle: Trials with random settings before that, at least 0: the baselines in turn, or all options
            where there are no baselines among them.
        choice: The name of the choice; a space without it has no fair start.
        reduction: The best 1/reduction at a rung keep their option awake, at least 1; with 1 none ever rests.
        share: Of the study's budget of trials or epoch-equivalents that these turns may take, in (0, 1].
            Options for which it does not suffice, in the order of the space, are not tried.
    """

    searcher: Searcher[Any] = field(default_factory=TPE)
    rounds: int = 1
    settle: int = 4
    choice: str = POLICY
    reduction: int = 3
    share: float = 1 / 3

    counts: ClassVar[bool] = True
    several: ClassVar[bool] = True

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
        if not 0 < self.share <= 1:
            raise ConfigurationError(f"share must be in (0, 1] of the budget, got {self.share}")

    def initial(self, space: SearchSpace) -> FairState:
        """Whose turn it is in each trial of the start."""
        choice = space.parameters.get(self.choice)
        values = choice.extremes() if isinstance(choice, Choice | Fixed) else ()
        narrowed = {str(value): space.fix({self.choice: value}) for value in values}
        options = list(narrowed)
        first = [option for option in options if option in BASELINES] or list(options)
        settlers = tuple(first[trial % len(first)] for trial in range(self.settle if first else 0))
        others = [option for option in options if option not in BASELINES]
        return FairState(narrowed, settlers, others * self.rounds, self.searcher.initial(space))

    def apply(self, state: FairState, event: Event) -> FairState:
        """Follow the leader of the search; the searcher sees every event."""
        option = str(event.config.get(self.choice)) if isinstance(event, Proposed) else ""
        state.standing.apply(event, option)
        match event:
            case Opened():
                budget = event.study.get("plan", {}).get("budget", {})
                state.budget = (budget.get("epochs") or math.inf, budget.get("trials") or math.inf)
                state.rungs = event.study.get("rungs", ())
                state.reference = event.study.get("reference_flops", 0.0)
            case Proposed(phase=phase) if phase == SEARCH:
                self._turn(state, event.config)
            case Reported() | Failed() if event.trial in state.standing.configs:
                self._measure(state, event)
        state.inner = self.searcher.apply(state.inner, event)
        return state

    def propose(self, state: FairState, trial: int, seed: int) -> Config | None:
        """A settler; an option whose turn has come; else what the searcher proposes among those awake."""
        drawing = np.random.default_rng(derive(seed, "searching", trial))
        if trial < len(state.settlers):
            return state.narrowed[state.settlers[trial]].sample(drawing)
        if (leader := state.standing.leader) is not None:
            settings = self._of_option(state.standing.configs[leader], own=False)
            for option in dict.fromkeys(state.waiting):
                config = self._of_option(state.narrowed[option].sample(drawing), own=True) | settings
                if self._entry(state, config) <= state.standing.best[0] and self._affords(state, config):
                    return config
        return self._awake(state, trial, seed)

    def _measure(self, state: FairState, event: Reported | Failed) -> None:
        taken = event.ledger.own.total.flops
        state.spent += taken
        if isinstance(event, Failed):
            return
        state.flops[event.trial] = flops = state.flops.get(event.trial, 0.0) + taken
        if state.standing.leader == event.trial and state.reference > 0 and flops > 0:
            state.size = flops / state.reference / event.fidelity

    def _turn(self, state: FairState, config: Config) -> None:
        option = str(config.get(self.choice))
        if option in state.waiting:
            state.waiting.remove(option)
            state.taken += 1
            state.cost += self._price(state, config)

    def _affords(self, state: FairState, config: Config) -> bool:
        epochs, trials = state.budget
        price = self._price(state, config)
        spent = state.spent / state.reference if state.reference > 0 else 0.0
        allowed = state.taken < self.share * trials and state.cost + price <= self.share * epochs
        return allowed and spent + price <= epochs

    def _price(self, state: FairState, config: Config) -> float:
        """Epoch-equivalents until a configuration with the leader's settings is judged first."""
        return state.rungs[self._entry(state, config)] * state.size if state.rungs else 0.0

    def _entry(self, state: FairState, config: Config) -> int:
        """The rung at which a configuration is judged first."""
        if self.choice != POLICY or not state.rungs:
            return 0
        return first_rung(entry_fidelity(config, state.rungs[-1]), state.rungs)

    def _awake(self, state: FairState, trial: int, seed: int) -> Config | None:
        """What the searcher proposes; its settings under another option, where that one rests."""
        config = self.searcher.propose(state.inner, trial, seed)
        if config is None or not state.narrowed or config[self.choice] in BASELINES:
            return config  # who rests need not be known
        resting = self.resting(state)
        awake = sorted(state.narrowed.keys() - resting)
        if str(config[self.choice]) not in resting or not awake:
            return config
        drawing = np.random.default_rng(derive(seed, "awake", trial))
        drawn = state.narrowed[awake[drawing.integers(len(awake))]].sample(drawing)
        return self._of_option(drawn, own=True) | self._of_option(config, own=False)

    def resting(self, state: FairState) -> Set[str]:
        """Options none of whose trials is among the best at the rung that it has reached.

        Where there are baselines to search instead, those that nobody has judged yet rest too.
        """
        standing = state.standing
        judged = {option for option in standing.members if standing.answered(option)}
        awake = {option for option in judged if standing.outstanding(option, self.reduction)} | set(BASELINES)
        baselines = any(option in BASELINES for option in state.narrowed)
        return (judged | set(state.narrowed) if baselines else judged) - awake

    def _of_option(self, config: Config, own: bool) -> dict[str, Any]:
        """The choice and what lies under it, or all the rest."""
        return {
            name: value
            for name, value in config.items()
            if (name == self.choice or name.startswith(f"{self.choice}.")) is own
        }
