"""Searchers with a model of one rung at a time: what they remember, and what the model is told."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from autotune.errors import ConfigurationError, unknown
from autotune.events import SEARCH, Assigned, Config, Event, Failed, Proposed, Reported
from autotune.searching.base import Searcher
from autotune.searching.random import RandomSearch
from autotune.searching.sobol import Sobol
from autotune.seeds import derive
from autotune.space import SearchSpace

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

OPENINGS: Final[Mapping[str, Searcher[SearchSpace]]] = {"random": RandomSearch(), "sobol": Sobol()}
ELITE: Final = 25  # Optuna never models more than this many trials as the good ones


@dataclass
class Seen:
    """A search trial, as far as the searcher cares.

    Attributes:
        values: Its configuration by the space's keys.
        scores: Finite scores by rung.
        failed: Whether it failed or diverged, at whatever rung.
        running: Whether it was started or promoted, and has not answered.
    """

    values: Mapping[str, Any]
    scores: dict[int, float] = field(default_factory=dict)
    failed: bool = False
    running: bool = True


@dataclass(frozen=True)
class Observation:
    """What the model is told about one trial.

    Attributes:
        score: Higher is better; minus infinity for a failure; None while it runs.
    """

    trial: int
    values: Mapping[str, Any]
    score: float | None


@dataclass
class ModelState:
    """The space and all search trials by number."""

    space: SearchSpace
    trials: dict[int, Seen] = field(default_factory=dict)


@dataclass(frozen=True)
class Modelled(Searcher[ModelState]):
    """Propose from a model of one rung, the highest with enough finite results.

    Results of different rungs are not comparable, and a trial that waits or was stopped below has no result
    there. A trial enters once, with its score at that rung. Until a rung qualifies, proposals are those of
    the opening.

    A conditional space is modelled level by level: the parameters that every configuration has jointly,
    then those of each chosen option jointly, from the trials that have them.

    Attributes:
        copes_with_gaps: Whether the sampler models trials that lack some of the parameters.
        startup: Finite results that a rung needs, beside one more than a configuration has parameters.
        history: Most finished trials a model is built from: the best 25 and the most recent of the rest; as
            many running ones at most. At least 50. It bounds the time of a proposal.
        opening: `random`, or `sobol` for proposals that cover the space more evenly.
    """

    copes_with_gaps: ClassVar[bool] = False

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

    def initial(self, space: SearchSpace) -> ModelState:
        """No trials."""
        return ModelState(space)

    def apply(self, state: ModelState, event: Event) -> ModelState:
        """Follow search trials; those of other phases never enter."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                state.trials[event.trial] = Seen(state.space.optuna_of(event.config))
            case Assigned() if event.trial in state.trials:
                state.trials[event.trial].running = True
            case Reported() if event.trial in state.trials:
                seen = state.trials[event.trial]
                seen.running = False
                if math.isfinite(event.score):
                    seen.scores[event.rung] = event.score
                else:
                    seen.failed = True
            case Failed() if event.trial in state.trials:
                state.trials[event.trial].running = False
                state.trials[event.trial].failed = True
        return state

    def propose(self, state: ModelState, trial: int, seed: int) -> Config | None:
        """A configuration from the model of one rung, or one of the opening; never None."""
        needed = max(self.startup, state.space.dimensions + 1)
        rung = modelled_rung(state.trials.values(), needed)
        if rung is None or state.space.dimensions == 0:
            return OPENINGS[self.opening].propose(state.space, trial, seed)
        from autotune.searching.snapshot import suggest  # importing Optuna takes a second

        told = bounded(observations(state.trials, rung), self.history)
        sampler = self.sampler(derive(seed, "searching", trial) % 2**32)
        return suggest(state.space, told, sampler, self.copes_with_gaps)


def modelled_rung(trials: Iterable[Seen], needed: int) -> int | None:
    """The highest rung with at least `needed` finite results of trials that have not failed since.

    Only trials that began at the lowest rung count. Those that cannot be judged there, as many policies
    cannot, fill a higher one while hardly any other trial has come that far; a model of that rung would know
    nothing of all that was stopped below, and propose it again.
    """
    counts: dict[int, int] = {}
    standing = [seen for seen in trials if seen.scores and not seen.failed]
    lowest = min((min(seen.scores) for seen in standing), default=0)
    for seen in standing:
        if min(seen.scores) == lowest:
            for rung in seen.scores:
                counts[rung] = counts.get(rung, 0) + 1
    return max((rung for rung, count in counts.items() if count >= needed), default=None)


def observations(trials: Mapping[int, Seen], rung: int) -> list[Observation]:
    """One observation per trial that has something to say at a rung, by trial number."""
    told = []
    for number, seen in sorted(trials.items()):
        if seen.failed:
            told.append(Observation(number, seen.values, -math.inf))
        elif rung in seen.scores:
            told.append(Observation(number, seen.values, seen.scores[rung]))
        elif seen.running:
            told.append(Observation(number, seen.values, None))
    return told


def bounded(told: list[Observation], limit: int) -> list[Observation]:
    """The best `ELITE` and the most recent of the rest, `limit` in all, and the `limit` latest running."""
    finished = [(one.score, one) for one in told if one.score is not None]
    running = [one for one in told if one.score is None][-limit:]
    if len(finished) <= limit:
        kept = [one for _, one in finished]
    else:
        ranked = sorted(finished, key=lambda pair: -pair[0])  # stable: of equals, the earlier trials
        best = [one for _, one in ranked[:ELITE]]
        rest = sorted((one for _, one in ranked[ELITE:]), key=lambda one: one.trial)
        kept = best + rest[ELITE - limit :]
    return sorted(kept + running, key=lambda one: one.trial)
