"""Searchers with a model of one rung at a time: what they remember, and what the model is told."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from autotune.errors import ConfigurationError, unknown
from autotune.events import SEARCH, Assigned, Config, Event, Failed, Opened, Proposed, Reported
from autotune.numerics.fronts import Point
from autotune.objectives import Aims, Order, violation
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
        others: By rung, its values of the further objectives, the greater the better.
        excesses: By rung, how far it is past each constraint.
        failed: Whether it failed or diverged, at whatever rung.
        running: Whether it was started or promoted, and has not answered.
    """

    values: Mapping[str, Any]
    scores: dict[int, float] = field(default_factory=dict)
    others: dict[int, Point] = field(default_factory=dict)
    excesses: dict[int, Point] = field(default_factory=dict)
    failed: bool = False
    running: bool = True


@dataclass(frozen=True)
class Observation:
    """What the model is told about one trial.

    Attributes:
        score: Higher is better; minus infinity for a failure; None while it runs.
        others: Of the further objectives, likewise; empty without a finite score.
        excesses: How far it is past each constraint, at most 0 where it keeps it; empty likewise.
    """

    trial: int
    values: Mapping[str, Any]
    score: float | None
    others: Point = ()
    excesses: Point = ()


@dataclass
class ModelState:
    """What has been seen.

    Attributes:
        space: Where to search.
        trials: All search trials by number.
        aims: Of the study besides its score.
        orders: Of the trials at each rung, where there are aims.
    """

    space: SearchSpace
    trials: dict[int, Seen] = field(default_factory=dict)
    aims: Aims = field(default_factory=Aims)
    orders: dict[int, Order] = field(default_factory=dict)


@dataclass(frozen=True)
class Modelled(Searcher[ModelState]):
    """Propose from a model of one rung, the highest with enough finite results.

    Results of different rungs are not comparable, and a trial that waits or was stopped below has no result
    there. A trial enters once, with its score at that rung. Until a rung qualifies, proposals are those of
    the opening.

    A conditional space is modelled level by level: the parameters that every configuration has jointly,
    then those of each chosen option jointly, from the trials that have them.

    Further objectives and constraints of a study are told to the sampler as what they are.

    Attributes:
        copes_with_gaps: Whether the sampler models trials that lack some of the parameters.
        startup: Finite results that a rung needs, beside one more than a configuration has parameters.
        history: Most finished trials a model is built from: the best 25 and the most recent of the rest; as
            many running ones at most. At least 50. It bounds the time of a proposal.
        opening: `random`, or `sobol` for proposals that cover the space more evenly.
    """

    copes_with_gaps: ClassVar[bool] = False
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
                if math.isfinite(event.score) and (not state.aims or _weigh(state, event)):
                    seen.scores[event.rung] = event.score
                else:
                    seen.failed = True
            case Failed() if event.trial in state.trials:
                state.trials[event.trial].running = False
                state.trials[event.trial].failed = True
            case Opened():
                state.aims = Aims.of(event.study)
        return state

    def propose(self, state: ModelState, trial: int, seed: int) -> Config | None:
        """A configuration from the model of one rung, or one of the opening; never None."""
        needed = max(self.startup, state.space.dimensions + 1)
        rung = modelled_rung(state.trials.values(), needed)
        if rung is None or state.space.dimensions == 0:
            return OPENINGS[self.opening].propose(state.space, trial, seed)
        from autotune.searching.snapshot import suggest  # importing Optuna takes a second

        told = bounded(observations(state.trials, rung), self.history, elite(state, rung))
        sampler = self.sampler(derive(seed, "searching", trial) % 2**32)
        objectives = 1 + len(state.aims.objectives)
        return suggest(state.space, told, sampler, self.copes_with_gaps, objectives)


def _weigh(state: ModelState, event: Reported) -> bool:
    """Take down what else a result is worth; false where some of it is not finite."""
    point, excesses = state.aims.point(event.score, event.metrics), state.aims.excesses(event.metrics)
    if not all(map(math.isfinite, (*point, *excesses))):
        return False
    seen = state.trials[event.trial]
    seen.others[event.rung], seen.excesses[event.rung] = point[1:], excesses
    state.orders.setdefault(event.rung, Order()).add(event.trial, point, violation(excesses))
    return True


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
            others, excesses = seen.others.get(rung, ()), seen.excesses.get(rung, ())
            told.append(Observation(number, seen.values, seen.scores[rung], others, excesses))
        elif seen.running:
            told.append(Observation(number, seen.values, None))
    return told


def elite(state: ModelState, rung: int) -> Container[int] | None:
    """The best `ELITE` trials at a rung of those that have not failed since; None where a score tells."""
    if not state.aims:
        return None
    ranked = state.orders[rung].first(len(state.trials))
    return [trial for trial in ranked if not state.trials[trial].failed][:ELITE]


def bounded(told: list[Observation], limit: int, best: Container[int] | None = None) -> list[Observation]:
    """The best `ELITE` and the most recent of the rest, `limit` in all, and the `limit` latest running.

    Args:
        told: By trial number.
        limit: At least twice `ELITE`.
        best: Who these are; None takes those with the best scores.
    """
    finished = [(one.score, one) for one in told if one.score is not None]
    running = [one for one in told if one.score is None][-limit:]
    if len(finished) <= limit:
        kept = [one for _, one in finished]
    else:
        if best is None:
            ranked = sorted(finished, key=lambda pair: -pair[0])  # stable: of equals, the earlier trials
            best = {one.trial for _, one in ranked[:ELITE]}
        first = [one for _, one in finished if one.trial in best]
        rest = [one for _, one in finished if one.trial not in best]
        kept = first + rest[len(first) - limit :]
    return sorted(kept + running, key=lambda one: one.trial)
