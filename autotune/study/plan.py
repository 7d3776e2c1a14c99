"""What a study is asked to do: how to search, when to stop, how to confirm."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from autotune.errors import ConfigurationError
from autotune.objectives import Aims, Constraint, Objective
from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.base import Scheduler
from autotune.searching.base import Searcher
from autotune.searching.fair import FairStart

IN_FLIGHT: Final = 0.25  # of the trials of a search
MOST: Final = 10_000  # where nobody said how many there are to be


@dataclass(frozen=True)
class Budget:
    """When the search ends; whichever limit is reached first.

    `epochs`, `trials` and `hours` are for the search, and confirmation comes on top. `usd`, `gpu_hours` and
    `wall` are for the whole study: the search ends early enough to confirm its winner with what is left.

    Attributes:
        epochs: Reference epoch-equivalents, everything included but what is computed once for all trials.
        trials: Configurations tried.
        hours: Wall-clock hours, those of all drivers together where the study was continued.
        usd: Money, in the currency of the study's prices, idle machines included where the engine knows them.
        gpu_hours: Hours that processes of trials run, each counted in full whatever its share of a GPU, and
            on a CPU too.
        wall: Wall-clock hours, as `hours`, but of the whole study.
    """

    epochs: float | None = None
    trials: int | None = None
    hours: float | None = None
    usd: float | None = None
    gpu_hours: float | None = None
    wall: float | None = None

    def __post_init__(self) -> None:
        limits = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        if all(limit is None for limit in limits.values()):
            raise ConfigurationError(f"budget must set at least one of {', '.join(limits)}")
        for name, limit in limits.items():
            number = isinstance(limit, int | float) and not isinstance(limit, bool)
            if limit is not None and not (number and 0 < limit < math.inf):
                raise ConfigurationError(f"budget.{name} must be a finite number above 0, got {limit!r}")
        if self.trials is not None and self.trials != int(self.trials):
            raise ConfigurationError(f"budget.trials must be a whole number, got {self.trials}")

    @property
    def whole(self) -> bool:
        """Whether it limits the whole study."""
        return any(limit is not None for limit in (self.usd, self.gpu_hours, self.wall))

    @property
    def timed(self) -> bool:
        """Whether it limits what is known only while time passes."""
        return self.hours is not None or self.whole


@dataclass(frozen=True)
class Confirm:
    """How the leaders are trained again before one is called the winner.

    Attributes:
        leaders: How many of the best configurations, at least 1; the best of each baseline arm is added.
        seeds: Paired repetitions, at least 2; more can detect smaller differences. All have two, which
            choose the best two and the best of each baseline arm, and those have all; in a study with further
            objectives or constraints every one has all.
        margin: Difference in score that would not matter to the user, at least 0.
        confidence: Of the paired intervals, in (0, 1).
    """

    leaders: int = 2
    seeds: int = 5
    margin: float = 0.003
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name, least, why in (("leaders", 1, ""), ("seeds", 2, " to give an interval")):
            given = getattr(self, name)
            if not isinstance(given, int) or given < least:
                raise ConfigurationError(
                    f"confirm.{name} must be a whole number of at least {least}{why}, got {given!r}"
                )
        if not self.margin >= 0:
            raise ConfigurationError(f"confirm.margin must be at least 0, got {self.margin}")
        if not 0 < self.confidence < 1:
            raise ConfigurationError(f"confirm.confidence must be in (0, 1), got {self.confidence}")


@dataclass(frozen=True)
class Plan:
    """How a study searches.

    Attributes:
        budget: When the search ends.
        scheduler: Decides which trial is promoted next; it has the rungs.
        searcher: Proposes configurations.
        confirm: How the winner is confirmed.
        seed: Seeds everything.
        ordered_workers: With a number, work is given to that many workers and results are committed in the
            order of declared compute, so that any engine takes the same decisions; costs waiting for
            stragglers. None commits results as they arrive.
        objectives: Further objectives to optimise, besides the task's metric.
        constraints: What the winner must keep; trials that do not rank below all that do.
    """

    budget: Budget
    scheduler: Scheduler[Any] = field(default_factory=lambda: AdaptiveASHA(horizon=3.0))
    searcher: Searcher[Any] = field(default_factory=FairStart)
    confirm: Confirm = field(default_factory=Confirm)
    seed: int = 0
    ordered_workers: int | None = None
    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        if self.ordered_workers is not None and self.ordered_workers < 1:
            raise ConfigurationError(f"ordered_workers must be at least 1, got {self.ordered_workers}")
        if self.aims:  # which refuses what they cannot be
            heeding = {type(one).__name__: one.several for one in _searchers(self.searcher)}
            heeding[type(self.scheduler).__name__] = self.scheduler.several
            for name in (name for name, several in heeding.items() if not several):
                raise ConfigurationError(
                    f"{name} heeds the score alone, and not {_named(self.aims)}; take ASHA, AdaptiveASHA, "
                    "Hyperband or FullTraining with TPE, GP, Sobol, RandomSearch or GridSearch, or leave "
                    "these out"
                )

    @property
    def aims(self) -> Aims:
        """All that it wants besides the score."""
        return Aims(self.objectives, self.constraints)

    @property
    def most_in_flight(self) -> int:
        """Trials at once that are of use: of more than a part of all, too little is known when they begin."""
        if self.ordered_workers is not None:
            return self.ordered_workers
        trials, epochs = self.budget.trials or math.inf, self.budget.epochs or math.inf
        begun = min(trials, epochs / self.scheduler.rungs[0])
        return max(1, int(min(begun * IN_FLIGHT, MOST)))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, for the log and for comparing two plans; without aims that it has not."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {k: v for k, v in plain.items() if v or k not in ("objectives", "constraints")}


def _searchers(searcher: Searcher[Any]) -> Iterator[Searcher[Any]]:
    """A searcher, and all that it is made of."""
    yield searcher
    parts: Any = searcher
    for f in dataclasses.fields(parts) if dataclasses.is_dataclass(parts) else ():
        if isinstance(inner := getattr(parts, f.name), Searcher):
            yield from _searchers(inner)


def _named(aims: Aims) -> str:
    named = [f"the objective {objective.metric}" for objective in aims.objectives]
    return " and ".join(named + [f"the constraint {constraint}" for constraint in aims.constraints])


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **named}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
