"""Ranges of numbers: pure maps from [0, 1] to values, with their bounds checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, final

import numpy as np

from autotune.errors import SpaceError
from autotune.space.values import integer, number

Real = TypeVar("Real", int, float)


@final
@dataclass(frozen=True)
class Float:
    """A real number in [low, high].

    Attributes:
        low: Smallest value; above 0 where `log` is set.
        high: Largest value.
        log: Whether ratios count instead of differences.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for bound in ("low", "high"):
            object.__setattr__(self, bound, number(bound, getattr(self, bound)))
        _check_range(self)

    def at(self, u: float) -> float:
        """The u-quantile, u in [0, 1]."""
        if self.log:
            value = math.exp(_between(math.log(self.low), math.log(self.high), u))
        else:
            value = _between(self.low, self.high, u)
        return min(max(value, self.low), self.high)

    def quantile(self, value: float) -> float:
        """Undo `at`; the middle where the range is a point."""
        low, high, own = self.low, self.high, value
        if self.log:
            low, high, own = math.log(low), math.log(high), math.log(value)
        return (own / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5

    def middle(self) -> float:
        """The median."""
        return self.at(0.5)

    def grid(self, points: int) -> tuple[float, ...]:
        """At most `points` evenly spread values, both ends included; the middle where `points` is 1."""
        return _distinct(self.at(u) for u in _spread(points))

    def extremes(self) -> tuple[float, ...]:
        """Both ends."""
        return (self.low, self.high)

    def accept(self, value: Any) -> float:
        """The value as this dimension writes it.

        Raises:
            SpaceError: When it is no number in [low, high].
        """
        return _inside(self, number("value", value))


@final
@dataclass(frozen=True)
class Int:
    """A whole number in [low, high].

    Attributes:
        low: Smallest value; at least 1 where `log` is set.
        high: Largest value, included.
        log: Whether ratios count instead of differences.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        for bound in ("low", "high"):
            object.__setattr__(self, bound, integer(bound, getattr(self, bound)))
        _check_range(self)

    def at(self, u: float) -> int:
        """The u-quantile, u in [0, 1]: each integer gets its share, by length or by log-length."""
        if self.log:
            value = round(math.exp(_between(math.log(self.low - 0.5), math.log(self.high + 0.5), u)))
        else:
            value = self.low + math.floor(u * (self.high - self.low + 1))
        return min(max(value, self.low), self.high)

    def quantile(self, value: int) -> float:
        """The middle of those that `at` maps to the value."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(value) - low) / (high - low)
        return (value - self.low + 0.5) / (self.high - self.low + 1)

    def middle(self) -> int:
        """The median."""
        return self.at(0.5)

    def grid(self, points: int) -> tuple[int, ...]:
        """At most `points` evenly spread values, both ends included; the middle where `points` is 1."""
        if points == 1:
            return (self.middle(),)
        spread = Float(self.low, self.high, self.log)
        return _distinct(round(spread.at(u)) for u in _spread(points))

    def extremes(self) -> tuple[int, ...]:
        """Both ends."""
        return (self.low, self.high)

    def accept(self, value: Any) -> int:
        """The value as this dimension writes it.

        Raises:
            SpaceError: When it is no whole number in [low, high].
        """
        return _inside(self, integer("value", value))


def _check_range(dimension: Float | Int) -> None:
    if not isinstance(dimension.log, bool):
        raise SpaceError(f"log must be true or false, got {dimension.log!r}")
    if dimension.low > dimension.high:
        raise SpaceError(
            f"low must be at most high, got an empty range: low={dimension.low}, high={dimension.high}; "
            "swap them"
        )
    if dimension.log and dimension.low <= 0:
        raise SpaceError(
            f"low must be above 0 where log is set, got low={dimension.low}; raise it or drop log"
        )


def _inside(dimension: Float | Int, value: Real) -> Real:
    if not dimension.low <= value <= dimension.high:
        raise SpaceError(f"value must be in [{dimension.low}, {dimension.high}], got {value}")
    return value


def _between(low: float, high: float, u: float) -> float:
    return low * (1.0 - u) + high * u  # unlike low + u * (high - low), never overflows


def _spread(points: int) -> tuple[float, ...]:
    return tuple(np.linspace(0.0, 1.0, points).tolist()) if points > 1 else (0.5,)


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
