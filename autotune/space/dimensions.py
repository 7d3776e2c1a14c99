"""The dimensions of a search space; each maps [0, 1] to its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from autotune.errors import SpaceError
from autotune.space.ranges import Float, Int
from autotune.space.values import Scalar, check_name, option_name, scalar


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
            canonical = {option_name(name): parameters(children) for name, children in given.items()}
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

    def quantile(self, value: Scalar) -> float:
        """The middle of those that `at` maps to the option."""
        return (self.values.index(value) + 0.5) / len(self.values)

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

    def quantile(self, value: Scalar) -> float:
        """The middle."""
        return 0.5

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
