"""What a study wants besides its score: further objectives, constraints, and the order of trials by them."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from autotune.errors import ConfigurationError, unknown
from autotune.numerics.fronts import Fronts, Point

MODES: Final = ("max", "min")


@final
@dataclass(frozen=True)
class Objective:
    """A metric that is to be large or small, besides the task's own.

    Attributes:
        metric: As it is reported; or `compute`, `parameters` or `latency_ms`, which are measured when asked.
        mode: `max` or `min`.
    """

    metric: str
    mode: str

    def __post_init__(self) -> None:
        _check_name("objective", self.metric)
        if self.mode not in MODES:
            raise ConfigurationError(
                f"the mode of objective {self.metric!r}: {unknown('mode', self.mode, MODES)}"
            )

    def value(self, metrics: Mapping[str, float]) -> float:
        """Of a trial, the greater the better; NaN where the metric is missing."""
        value = metrics.get(self.metric, math.nan)
        return value if self.mode == "max" else -value


@final
@dataclass(frozen=True)
class Constraint:
    """A bound on a metric: what breaks it ranks below all that keep it.

    Attributes:
        metric: As an objective's, or the task's own.
        at_most: Upper bound, kept by a value equal to it.
        at_least: Lower bound; exactly one of the two is given.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        _check_name("constraint", self.metric)
        given = [bound for bound in (self.at_most, self.at_least) if bound is not None]
        numbers = [bound for bound in given if isinstance(bound, int | float) and not isinstance(bound, bool)]
        if len(given) != 1 or not numbers or not math.isfinite(numbers[0]):
            raise ConfigurationError(
                f"the constraint on {self.metric!r} needs one finite bound, at_most or at_least, got "
                f"at_most={self.at_most}, at_least={self.at_least}; two constraints make a range"
            )

    def excess(self, metrics: Mapping[str, float]) -> float:
        """How far a trial is past the bound, in shares of it (plain where it is 0); at most 0 within it.

        NaN where the metric is missing.
        """
        value, bound = metrics.get(self.metric, math.nan), self.bound
        past = value - bound if self.at_most is not None else bound - value
        return past / abs(bound) if bound else past

    @property
    def bound(self) -> float:
        """The one that is given."""
        return self.at_most if self.at_most is not None else self.at_least or 0.0

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.at_most is not None else '>='} {self.bound:g}"


@final
@dataclass(frozen=True)
class Aims:
    """All that a study wants besides its score; false when that is nothing.

    Attributes:
        objectives: Further ones, each by its own metric.
        constraints: Any number.
    """

    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        _check_all("objectives", self.objectives, Objective, 'Objective("latency_ms", "min")')
        _check_all("constraints", self.constraints, Constraint, 'Constraint("latency_ms", at_most=5.0)')
        names = [objective.metric for objective in self.objectives]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"objectives name {', '.join(twice)} twice; remove one")

    @classmethod
    def of(cls, study: Mapping[str, Any]) -> Aims:
        """Of a study, by what its log begins with."""
        plan = study.get("plan", {})
        objectives = (Objective(one["metric"], one["mode"]) for one in plan.get("objectives", ()))
        constraints = (
            Constraint(one["metric"], one.get("at_most"), one.get("at_least"))
            for one in plan.get("constraints", ())
        )
        return cls(tuple(objectives), tuple(constraints))

    def __bool__(self) -> bool:
        return bool(self.objectives or self.constraints)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics that are read."""
        named = [objective.metric for objective in self.objectives]
        return tuple(dict.fromkeys([*named, *(constraint.metric for constraint in self.constraints)]))

    def point(self, score: float, metrics: Mapping[str, float]) -> Point:
        """A trial's place among the objectives, the greater the better; its score comes first."""
        return (score, *(objective.value(metrics) for objective in self.objectives))

    def excesses(self, metrics: Mapping[str, float]) -> Point:
        """How far a trial is past each bound, in shares of it; at most 0 where it keeps it."""
        return tuple(constraint.excess(metrics) for constraint in self.constraints)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """How far a trial is past all bounds together; 0 where it keeps them, infinite where unknown."""
        return violation(self.excesses(metrics)) if self.constraints else 0.0


def violation(excesses: Iterable[float]) -> float:
    """The sum of those above 0; infinite where one is NaN."""
    past = [max(excess, 0.0) if excess == excess else math.inf for excess in excesses]
    return math.fsum(past)


@dataclass
class Order:
    """Trials from the best to the worst, kept up as results come in.

    Who keeps all constraints ranks above all who do not. Among the former the order is that of `Fronts`: no
    trial ranks above one that dominates it, and each front begins with its best score and then spreads out.
    Among the latter, who is less past the bounds, then who has the better score. With nothing but a score
    this is the order by score. Of equals the older trial ranks higher; a result that is not finite has no
    rank.

    Attributes:
        feasible: Who keeps the constraints.
        infeasible: The others, as (violation, -score, trial), ascending.
    """

    feasible: Fronts = field(default_factory=Fronts)
    infeasible: list[tuple[float, float, int]] = field(default_factory=list)

    def add(self, trial: int, point: Point, past: float = 0.0) -> bool:
        """Take in a trial, and say whether it has a rank.

        Args:
            trial: Its number, which was not taken in before.
            point: As `Aims.point` gives it.
            past: As `Aims.violation` gives it.
        """
        if not all(math.isfinite(value) for value in point):
            return False
        if past > 0.0:
            insort(self.infeasible, (past, -point[0], trial))
        else:
            self.feasible.insert(trial, point)
        return True

    def first(self, count: int) -> list[int]:
        """The best `count` trials, best first; fewer if there are fewer."""
        found = self.feasible.first(count)
        return found + [trial for _, _, trial in self.infeasible[: max(count - len(found), 0)]]


def ranking(points: Mapping[int, Point], past: Mapping[int, float] | None = None) -> list[int]:
    """Trials from the best to the worst, those that have no rank left out: see `Order`.

    Args:
        points: By trial, the greater the better in every coordinate, the score first.
        past: By trial, how far it is past the constraints; 0 for those that are not named.
    """
    order = Order()
    for trial, point in sorted(points.items()):
        order.add(trial, point, (past or {}).get(trial, 0.0))
    return order.first(len(points))


def _check_all(name: str, given: object, kind: type, example: str) -> None:
    wrong = given
    if isinstance(given, tuple):
        wrong = next((one for one in given if not isinstance(one, kind)), None)
    if wrong is not None:
        raise ConfigurationError(
            f"{name} must be a tuple of {kind.__name__}, got {wrong!r}; write ({example},)"
        )


def _check_name(kind: str, metric: object) -> None:
    if not isinstance(metric, str) or not metric:
        raise ConfigurationError(f"{kind}: metric must be the name of one, got {metric!r}")
