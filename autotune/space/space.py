"""A search space: named dimensions, some of which exist only under an option of another."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np

from autotune.errors import SpaceError, unknown
from autotune.events import Config
from autotune.space import yaml_form
from autotune.space.checks import first_problem
from autotune.space.dimensions import Choice, Dimension, Fixed, Scalar, parameters

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# a place in the space: its name in a configuration, its key with the options it exists under
Place: TypeAlias = tuple[str, str, Dimension]


@final
class SearchSpace:
    """What a study may choose from.

    A configuration is flat: the child `lr` of the option `sgd` of `optimizer` is called `optimizer.lr`
    there, and has the key `optimizer[sgd].lr` wherever branches must be told apart (Optuna, random draws).

    The name `policy` is special: its options must be registered selectors, and what lies under them
    parameters of that policy.

    Args:
        given: Dimensions by name; a plain scalar is a fixed value.

    Raises:
        SpaceError: When the space cannot be searched.
    """

    parameters: Mapping[str, Dimension]

    def __init__(self, given: Mapping[str, Dimension | Scalar]) -> None:
        self.parameters = parameters(given)
        if problem := first_problem(self.parameters):
            raise SpaceError(problem.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.parameters == other.parameters

    __hash__ = None  # type: ignore[assignment]  # holds dictionaries

    def __repr__(self) -> str:
        return f"SearchSpace({dict(self.parameters)!r})"

    def __or__(self, other: SearchSpace | Mapping[str, Dimension | Scalar]) -> SearchSpace:
        """This space with parameters added, or replaced where the names are the same."""
        more = other.parameters if isinstance(other, SearchSpace) else other
        return SearchSpace({**self.parameters, **more})

    # what there is

    def places(self) -> Iterator[Place]:
        """Every dimension of every branch, parents before children."""
        return _places(self.parameters)

    def names(self) -> tuple[str, ...]:
        """The names that configurations may have, in order."""
        return tuple(dict.fromkeys(name for name, _, _ in self.places()))

    def branches(self) -> dict[str, tuple[Scalar, ...]]:
        """The options of each choice that has conditional parameters, by its name."""
        found: dict[str, tuple[Scalar, ...]] = {}
        for name, _, dim in self.places():
            if isinstance(dim, Choice) and isinstance(dim.options, Mapping):
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *dim.values)))
        return found

    def options(self, name: str) -> tuple[str, ...]:
        """The values a choice or a fixed parameter may take, as names; none where there is no such."""
        found = [dim.extremes() for own, _, dim in self.places() if own == name and _discrete(dim)]
        return tuple(dict.fromkeys(str(value) for values in found for value in values))

    @property
    def dimensions(self) -> int:
        """The largest number of free parameters that one configuration has."""
        return _free(self.parameters)

    # configurations

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """Draw a configuration; a parameter's draw does not depend on which others exist."""
        base = int(generator.integers(2**63))
        return _resolve(self.parameters, lambda _, key, dim: dim.at(_uniform(base, key)))

    def reference(self) -> dict[str, Any]:
        """The middle of each range and the first option of each choice."""
        return _resolve(self.parameters, lambda _name, _key, dim: dim.middle())

    def grid(self, points: int = 3) -> Iterator[dict[str, Any]]:
        """Every combination of at most `points` values per range and all options of each choice."""
        return (self.combination(index, points) for index in range(self.combinations(points)))

    def combinations(self, points: int = 3) -> int:
        """How many configurations `grid(points)` yields.

        Raises:
            SpaceError: When `points` is below 1.
        """
        if points < 1:
            raise SpaceError(f"points must be at least 1, got {points}")
        return _count(self.parameters, points)

    def combination(self, index: int, points: int = 3) -> dict[str, Any]:
        """The configuration at one place of `grid(points)`, without building those before it."""
        return _combination(self.parameters, points, index)

    def validate(self, config: Config) -> dict[str, Any]:
        """The configuration in the space's own order and types; fixed values may be left out.

        Raises:
            SpaceError: When a name is unknown, unreachable or missing, or a value is outside its range.
        """

        def accept(name: str, _: str, dim: Dimension) -> Scalar:
            if name not in config:
                if isinstance(dim, Fixed):
                    return dim.value
                if isinstance(dim, Choice) and len(dim.values) == 1:
                    return dim.values[0]
                raise SpaceError(f"parameter {name!r} is missing; give it a value")
            try:
                return dim.accept(config[name])
            except SpaceError as error:
                raise SpaceError(f"parameter {name!r}: {error}") from error

        names = self.names()
        for name in config:
            if name not in names:
                raise SpaceError(unknown("parameter", name, names))
        accepted = _resolve(self.parameters, accept)
        for name in config:
            if name not in accepted:
                where = " or ".join(key for found, key, _ in self.places() if found == name)
                raise SpaceError(
                    f"parameter {name!r} is unreachable here, it exists only as {where}; remove it"
                )
        return accepted

    def fix(self, values: Config | None = None, /, **named: Scalar) -> SearchSpace:
        """This space with some parameters fixed, by keyword or, where names have dots, by a mapping.

        Raises:
            SpaceError: When a name is unknown, or a value is outside the range of a branch that remains.
        """
        wanted: dict[str, Scalar] = {**(values or {}), **named}
        names = self.names()
        for name in wanted:
            if name not in names:
                raise SpaceError(unknown("parameter", name, names))
        return SearchSpace(_fix(self.parameters, wanted))

    # other forms

    def to_yaml(self) -> str:
        """The space as YAML, which `from_yaml` reads back."""
        return yaml_form.dump(self.parameters)

    @classmethod
    def from_yaml(cls, text: str, source: str = "study.yaml", section: str | None = None) -> SearchSpace:
        """Read a space such as `{lr: {float: [1e-4, 1.0], log: true}, width: {choice: [16, 32]}, depth: 3}`.

        Args:
            text: The YAML.
            source: What errors call the file.
            section: The top-level key that holds the space; None when the whole text is the space.

        Raises:
            SpaceError: With file, line and column of what cannot be used.
        """
        found, locate = yaml_form.parse(text, source, section)
        if problem := first_problem(found):
            raise SpaceError(f"{locate(problem.path)}: {problem.text}")
        return cls(found)

    def to_optuna(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by key; fixed values are categories of one."""
        from autotune.space import optuna_form  # importing Optuna takes a second

        return {key: optuna_form.distribution(dim) for _, key, dim in self.places()}

    @classmethod
    def from_optuna(cls, distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
        """Undo `to_optuna`.

        Raises:
            SpaceError: When a distribution has no counterpart here, or a key no parent.
        """
        from autotune.space import optuna_form  # importing Optuna takes a second

        return cls(optuna_form.tree(distributions))

    def config_of(self, keyed: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration from values by key, as Optuna has them; fixed values may be absent."""
        return _resolve(
            self.parameters,
            lambda _, key, dim: dim.value if isinstance(dim, Fixed) else dim.accept(keyed[key]),
        )

    def optuna_of(self, config: Config) -> dict[str, Any]:
        """A valid configuration's free and fixed values by key."""
        keyed: dict[str, Any] = {}

        def choose(name: str, key: str, _: Dimension) -> Scalar:
            keyed[key] = config[name]
            return keyed[key]  # type: ignore[no-any-return]  # configurations hold scalars

        _resolve(self.parameters, choose)
        return keyed


def _places(params: Mapping[str, Dimension], name: str = "", key: str = "") -> Iterator[Place]:
    for own, dim in params.items():
        yield name + own, key + own, dim
        if isinstance(dim, Choice):
            for option in dim.values:
                yield from _places(dim.children(option), f"{name}{own}.", f"{key}{own}[{option}].")


def _resolve(
    params: Mapping[str, Dimension],
    choose: Callable[[str, str, Dimension], Scalar],
    name: str = "",
    key: str = "",
) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for own, dim in params.items():
        value = choose(name + own, key + own, dim)
        config[name + own] = value
        if isinstance(dim, Choice):
            children = dim.children(value)
            config |= _resolve(children, choose, f"{name}{own}.", f"{key}{own}[{value}].")
    return config


def _count(params: Mapping[str, Dimension], points: int) -> int:
    return math.prod(sum(_weights(dim, points)) for dim in params.values())


def _weights(dim: Dimension, points: int) -> list[int]:
    """How many combinations each grid value of a dimension stands for."""
    if isinstance(dim, Choice):
        return [_count(dim.children(value), points) for value in dim.values]
    return [1] * len(dim.grid(points))


def _combination(params: Mapping[str, Dimension], points: int, index: int, name: str = "") -> dict[str, Any]:
    """Read `index` as digits, one per dimension, the last one running fastest."""
    parts: list[dict[str, Any]] = []
    for own, dim in reversed(list(params.items())):
        weights = _weights(dim, points)
        index, digit = divmod(index, sum(weights))
        for value, weight in zip(dim.grid(points), weights, strict=True):
            if digit < weight:
                children = dim.children(value) if isinstance(dim, Choice) else {}
                below = _combination(children, points, digit, f"{name}{own}.")
                parts.append({name + own: value, **below})
                break
            digit -= weight
    return {key: value for part in reversed(parts) for key, value in part.items()}


def _discrete(dim: Dimension) -> bool:
    return isinstance(dim, Choice | Fixed)


def _free(params: Mapping[str, Dimension]) -> int:
    def one(dim: Dimension) -> int:
        if isinstance(dim, Choice):
            below = max(_free(dim.children(value)) for value in dim.values)
            return below + (len(dim.values) > 1)
        return int(not isinstance(dim, Fixed) and len(set(dim.extremes())) > 1)

    return sum(one(dim) for dim in params.values())


def _fix(params: Mapping[str, Dimension], wanted: Config, name: str = "") -> dict[str, Dimension]:
    fixed: dict[str, Dimension] = {}
    for own, dim in params.items():
        full = name + own
        options: tuple[Scalar, ...] = dim.values if isinstance(dim, Choice) else ()
        if full in wanted:
            try:
                value = dim.accept(wanted[full])
            except SpaceError as error:
                raise SpaceError(f"parameter {full!r}: {error}") from error
            if not isinstance(dim, Choice):
                fixed[own] = Fixed(value)
                continue
            options = (value,)
        if isinstance(dim, Choice) and isinstance(dim.options, Mapping):
            fixed[own] = Choice({str(o): _fix(dim.children(o), wanted, f"{full}.") for o in options})
        else:
            fixed[own] = Choice(options) if isinstance(dim, Choice) else dim
    return fixed


def _uniform(base: int, key: str) -> float:
    """A number in [0, 1) that depends on both arguments and nothing else."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=base.to_bytes(8, "big")).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
