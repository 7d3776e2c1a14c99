"""The dimensions of a search space: pure maps from [0, 1) to values, with their bounds checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np

from autotune.errors import SpaceError

Scalar: TypeAlias = bool | int | float | str

EXACT_INT: Final = 2**53  # beyond it a float, which Optuna computes with, skips integers


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
            object.__setattr__(self, bound, _number(bound, getattr(self, bound)))
        _check_range(self)

    def at(self, u: float) -> float:
        """The u-quantile, u in [0, 1]."""
        if self.log:
            value = math.exp(_between(math.log(self.low), math.log(self.high), u))
        else:
            value = _between(self.low, self.high, u)
        return min(max(value, self.low), self.high)

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
        number = _number("value", value)
        if not self.low <= number <= self.high:
            raise SpaceError(f"value must be in [{self.low}, {self.high}], got {number}")
        return number


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
            object.__setattr__(self, bound, _integer(bound, getattr(self, bound)))
        _check_range(self)

    def at(self, u: float) -> int:
        """The u-quantile, u in [0, 1]: each integer gets its share, by length or by log-length."""
        if self.log:
            value = round(math.exp(_between(math.log(self.low - 0.5), math.log(self.high + 0.5), u)))
        else:
            value = self.low + math.floor(u * (self.high - self.low + 1))
        return min(max(value, self.low), self.high)

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
        number = _integer("value", value)
        if not self.low <= number <= self.high:
            raise SpaceError(f"value must be in [{self.low}, {self.high}], got {number}")
        return number


@final
@dataclass(frozen=True)
class Choice:
    """One of several values, each of which may bring parameters of its own.

    Attributes:
        options: Scalars; or names, each with the parameters that exist only under it (`{}` for none).
    """

    options: Iterable[Scalar] | Mapping[str, Mapping[str, Dimension | Scalar]]

    def __post_init__(self) -> None:
        given = self.options
        if isinstance(given, str | Set) or not isinstance(given, Iterable):  # a set has no order
            raise SpaceError(f"options must be a list of values or a mapping of names, got {given!r}")
        values = tuple(scalar(value) for value in given)
        if not values:
            raise SpaceError("options must name at least one value, got none")
        for index, value in enumerate(values):
            if value in values[:index]:  # by ==, as Optuna compares: 1, 1.0 and True are one option
                raise SpaceError(f"options must be distinct, got {value!r} twice; remove one")
        canonical: Any = values
        if isinstance(given, Mapping):
            canonical = {_option(name): parameters(children) for name, children in given.items()}
            if not any(canonical.values()):
                canonical = values
        object.__setattr__(self, "options", canonical)

    @property
    def values(self) -> tuple[Scalar, ...]:
        """The options, in order."""
        return tuple(self.options)

    def children(self, value: Scalar) -> Mapping[str, Dimension]:
        """The parameters that exist under an option."""
        if isinstance(self.options, Mapping):
            return self.options.get(value, {})  # type: ignore[arg-type, return-value]  # canonical
        return {}

    def at(self, u: float) -> Scalar:
        """The u-quantile, u in [0, 1]."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def middle(self) -> Scalar:
        """The first option, which is the reference."""
        return self.values[0]

    def grid(self, points: int) -> tuple[Scalar, ...]:
        """All options, whatever `points` is."""
        return self.values

    def extremes(self) -> tuple[Scalar, ...]:
        """All options."""
        return self.values

    def accept(self, value: Any) -> Scalar:
        """The option that the value equals.

        Raises:
            SpaceError: When it is none of them.
        """
        for option in self.values:
            if option == value and isinstance(option, bool) == isinstance(value, bool):
                return option
        raise SpaceError(f"value must be one of {', '.join(map(repr, self.values))}; got {value!r}")


@final
@dataclass(frozen=True)
class Fixed:
    """A value that is not searched.

    Attributes:
        value: What every configuration has.
    """

    value: Scalar

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", scalar(self.value))

    def at(self, u: float) -> Scalar:
        """The value, whatever u is."""
        return self.value

    def middle(self) -> Scalar:
        """The value."""
        return self.value

    def grid(self, points: int) -> tuple[Scalar, ...]:
        """The value alone."""
        return (self.value,)

    def extremes(self) -> tuple[Scalar, ...]:
        """The value alone."""
        return (self.value,)

    def accept(self, value: Any) -> Scalar:
        """The fixed value.

        Raises:
            SpaceError: When another one is given.
        """
        return Choice([self.value]).accept(value)


Dimension: TypeAlias = Float | Int | Choice | Fixed


def parameters(given: Mapping[str, Dimension | Scalar]) -> dict[str, Dimension]:
    """Named dimensions in canonical form: scalars and single options without children become `Fixed`.

    Raises:
        SpaceError: When a name or a value cannot be used.
    """
    if not isinstance(given, Mapping):
        raise SpaceError(f"parameters must be a mapping of names to dimensions, got {given!r}")
    return {check_name(name): dimension(name, value) for name, value in given.items()}


def dimension(name: str, given: Any) -> Dimension:
    """One dimension in canonical form."""
    if isinstance(given, Choice) and len(given.values) == 1 and not given.children(given.values[0]):
        return Fixed(given.values[0])
    if isinstance(given, Float | Int | Choice | Fixed):
        return given
    try:
        return Fixed(given)
    except SpaceError as error:
        raise SpaceError(f"parameter {name!r}: {error}") from error


def check_name(name: Any) -> str:
    """A parameter's name, if it can be one: dots and brackets are how conditional names are built.

    Raises:
        SpaceError: When it cannot.
    """
    if not isinstance(name, str) or not name:
        raise SpaceError(f"a parameter's name must be a string that is not empty, got {name!r}")
    if any(character in ".[]" or character.isspace() for character in name):
        raise SpaceError(
            f"a parameter's name must have no dots, brackets or spaces, got {name!r}; "
            "write a conditional parameter under its option: Choice({option: {name: ...}})"
        )
    return name


def scalar(value: Any) -> Scalar:
    """A value that a configuration can hold: a bool, a finite number or a string.

    Raises:
        SpaceError: When it is something else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"value must be finite, got {value}")
    if not isinstance(value, bool | int | float | str):
        raise SpaceError(
            f"value must be a bool, a number or a string, got {value!r} of type {type(value).__name__}; "
            "name the alternatives by strings and map them in the model factory"
        )
    return value


def _option(name: Any) -> str:
    if not isinstance(name, str) or not name or "[" in name or "]" in name:
        raise SpaceError(
            f"an option with parameters of its own must be a name without brackets, got {name!r}; quote it"
        )
    return name


def _number(what: str, value: Any) -> float:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpaceError(f"{what} must be a number, got {value!r} of type {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SpaceError(f"{what} must be finite, got {number}")
    return number


def _integer(what: str, value: Any) -> int:
    number = _number(what, value)
    if number != int(number):
        raise SpaceError(f"{what} must be a whole number, got {value!r}; use Float for real numbers")
    if abs(number) > EXACT_INT:
        raise SpaceError(f"{what} must be at most 2**53 in size, got {value!r}; search its logarithm instead")
    return int(number)


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


def _between(low: float, high: float, u: float) -> float:
    return low * (1.0 - u) + high * u  # unlike low + u * (high - low), never overflows


def _spread(points: int) -> tuple[float, ...]:
    return tuple(np.linspace(0.0, 1.0, points).tolist()) if points > 1 else (0.5,)


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
