"""Walking a tree of dimensions: the places in it, and the configurations it stands for."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from autotune.errors import SpaceError
from autotune.events import Config
from autotune.space.dimensions import Choice, Dimension, Fixed
from autotune.space.values import Scalar

# its name in a configuration, its key with the options it exists under, and what it is
Place: TypeAlias = tuple[str, str, Dimension]


def places(params: Mapping[str, Dimension], name: str = "", key: str = "") -> Iterator[Place]:
    """Every dimension of every branch, parents before children."""
    for own, dim in params.items():
        yield name + own, key + own, dim
        if isinstance(dim, Choice):
            for option in dim.values:
                yield from places(dim.children(option), f"{name}{own}.", f"{key}{own}[{option}].")


def path(key: str) -> tuple[str, ...]:
    """The names and options of a key, one by one: `optimizer[sgd].lr` is `("optimizer", "sgd", "lr")`."""
    return tuple(option or name for option, name in re.findall(r"\[([^]]*)\]|([^.[\]]+)", key))


def resolve(
    params: Mapping[str, Dimension],
    choose: Callable[[str, str, Dimension], Scalar],
    name: str = "",
    key: str = "",
) -> dict[str, Any]:
    """The configuration that results when `choose(name, key, dimension)` gives every value asked for."""
    config: dict[str, Any] = {}
    for own, dim in params.items():
        value = choose(name + own, key + own, dim)
        config[name + own] = value
        if isinstance(dim, Choice):
            children = dim.children(value)
            config |= resolve(children, choose, f"{name}{own}.", f"{key}{own}[{value}].")
    return config


def count(params: Mapping[str, Dimension], points: int) -> int:
    """How many configurations a grid with `points` values per range has."""
    return math.prod(sum(_weights(dim, points)) for dim in params.values())


def _weights(dim: Dimension, points: int) -> list[int]:
    """How many combinations each grid value of a dimension stands for."""
    if isinstance(dim, Choice):
        return [count(dim.children(value), points) for value in dim.values]
    return [1] * len(dim.grid(points))


def combination(params: Mapping[str, Dimension], points: int, index: int, name: str = "") -> dict[str, Any]:
    """Read `index` as digits, one per dimension, the last one running fastest."""
    parts: list[dict[str, Any]] = []
    for own, dim in reversed(list(params.items())):
        weights = _weights(dim, points)
        index, digit = divmod(index, sum(weights))
        for value, weight in zip(dim.grid(points), weights, strict=True):
            if digit < weight:
                children = dim.children(value) if isinstance(dim, Choice) else {}
                below = combination(children, points, digit, f"{name}{own}.")
                parts.append({name + own: value, **below})
                break
            digit -= weight
    return {key: value for part in reversed(parts) for key, value in part.items()}


def discrete(dim: Dimension) -> bool:
    """Whether a dimension lists its values."""
    return isinstance(dim, Choice | Fixed)


def free(params: Mapping[str, Dimension]) -> int:
    """The largest number of parameters that one configuration can vary."""

    def one(dim: Dimension) -> int:
        if isinstance(dim, Choice):
            below = max(free(dim.children(value)) for value in dim.values)
            return below + (len(dim.values) > 1)
        return int(not isinstance(dim, Fixed) and len(set(dim.extremes())) > 1)

    return sum(one(dim) for dim in params.values())


def fix(params: Mapping[str, Dimension], wanted: Config, name: str = "") -> dict[str, Dimension]:
    """The tree with some parameters fixed, in all branches that remain.

    Raises:
        SpaceError: When a value is outside the range of one of these.
    """
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
            fixed[own] = Choice({str(o): fix(dim.children(o), wanted, f"{full}.") for o in options})
        else:
            fixed[own] = Choice(options) if isinstance(dim, Choice) else dim
    return fixed


def uniform(base: int, key: str) -> float:
    """A number in [0, 1) that depends on both arguments and nothing else."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=base.to_bytes(8, "big")).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
