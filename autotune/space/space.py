"""A search space: named dimensions, some of which exist only under an option of another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np

from autotune.errors import ConfigurationError, SpaceError, unknown
from autotune.events import Config
from autotune.space import tree, yaml_form
from autotune.space.checks import first_problem
from autotune.space.dimensions import Choice, Dimension, Fixed, parameters
from autotune.space.values import Scalar

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


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
        self._marks: yaml_form.Marks | None = None  # where they stand, if they were read from YAML
        if problem := first_problem(self.parameters):
            raise SpaceError(problem.text, problem.path)

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

    def places(self) -> Iterator[tree.Place]:
        """Every dimension of every branch, parents before children."""
        return tree.places(self.parameters)

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
        found = [dim.extremes() for own, _, dim in self.places() if own == name and tree.discrete(dim)]
        return tuple(dict.fromkeys(str(value) for values in found for value in values))

    @property
    def dimensions(self) -> int:
        """The largest number of free parameters that one configuration has."""
        return tree.free(self.parameters)

    # configurations

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """Draw a configuration; a parameter's draw does not depend on which others exist."""
        base = int(generator.integers(2**63))
        return tree.resolve(self.parameters, lambda _, key, dim: dim.at(tree.uniform(base, key)))

    def at(self, quantiles: Mapping[str, float]) -> dict[str, Any]:
        """The configuration at a point of the unit cube, by key, one coordinate for each of `places`."""
        return tree.resolve(self.parameters, lambda _, key, dim: dim.at(quantiles[key]))

    def quantiles(self, config: Config) -> dict[str, float]:
        """Undo `at`: a valid configuration's coordinates by key, those alone that it has."""
        dims = {key: dim for _, key, dim in self.places()}
        return {key: dims[key].quantile(value) for key, value in self.optuna_of(config).items()}

    def chosen(self, choose: Callable[[str, Dimension], Scalar]) -> dict[str, Any]:
        """The configuration that results when `choose(name, dimension)` gives every value asked for."""
        return tree.resolve(self.parameters, lambda name, _, dim: choose(name, dim))

    def reference(self) -> dict[str, Any]:
        """The middle of each range and the first option of each choice."""
        return tree.resolve(self.parameters, lambda _name, _key, dim: dim.middle())

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
        return tree.count(self.parameters, points)

    def combination(self, index: int, points: int = 3) -> dict[str, Any]:
        """The configuration at one place of `grid(points)`, without building those before it."""
        return tree.combination(self.parameters, points, index)

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
        accepted = tree.resolve(self.parameters, accept)
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
        return SearchSpace(tree.fix(self.parameters, wanted))

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
        found, marks = yaml_form.parse(text, source, section)
        try:
            space = cls(found)
        except SpaceError as error:
            raise _pointing(error, marks) from error
        space._marks = marks
        return space

    @contextlib.contextmanager
    def pointing(self) -> Iterator[None]:
        """Name file, line and column in every error of the block that is about a parameter read from YAML."""
        try:
            yield
        except ConfigurationError as error:
            if self._marks is None or error.path is None:
                raise
            raise _pointing(error, self._marks) from error

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
        return tree.resolve(
            self.parameters,
            lambda _, key, dim: dim.value if isinstance(dim, Fixed) else dim.accept(keyed[key]),
        )

    def optuna_of(self, config: Config) -> dict[str, Any]:
        """A valid configuration's free and fixed values by key."""
        keyed: dict[str, Any] = {}

        def choose(name: str, key: str, _: Dimension) -> Scalar:
            keyed[key] = config[name]
            return keyed[key]  # type: ignore[no-any-return]  # configurations hold scalars

        tree.resolve(self.parameters, choose)
        return keyed


def _pointing(error: ConfigurationError, marks: yaml_form.Marks) -> ConfigurationError:
    return type(error)(f"{yaml_form.locate(marks, error.path or ())}: {error}")
