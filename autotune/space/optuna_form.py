"""A search space as Optuna's distributions, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.errors import SpaceError
from autotune.space.dimensions import Choice, Dimension, Fixed
from autotune.space.ranges import Float, Int


def distribution(dim: Dimension) -> BaseDistribution:
    """A dimension's counterpart; its conditional parameters have distributions of their own."""
    match dim:
        case Float():
            return FloatDistribution(dim.low, dim.high, log=dim.log)
        case Int():
            return IntDistribution(dim.low, dim.high, log=dim.log)
        case Choice():
            return CategoricalDistribution(dim.values)
        case Fixed():
            return CategoricalDistribution((dim.value,))


def tree(distributions: Mapping[str, BaseDistribution]) -> dict[str, Dimension]:
    """Named dimensions from distributions by key; `optimizer[sgd].lr` goes under `sgd` of `optimizer`.

    Raises:
        SpaceError: When a distribution has no counterpart, or a key's parent is no category.
    """
    placed: set[str] = set()
    found = _level(distributions, "", placed)
    for key in distributions:
        if key not in placed:
            raise SpaceError(f"key {key!r} hangs under no option of a categorical; add its parent")
    return found


def _level(
    distributions: Mapping[str, BaseDistribution], prefix: str, placed: set[str]
) -> dict[str, Dimension]:
    found: dict[str, Dimension] = {}
    for key, dist in distributions.items():
        own = key.removeprefix(prefix)
        if not key.startswith(prefix) or "[" in own:
            continue
        placed.add(key)
        found[own] = _dimension(distributions, key, dist, placed)
    return found


def _dimension(
    distributions: Mapping[str, BaseDistribution], key: str, dist: BaseDistribution, placed: set[str]
) -> Dimension:
    match dist:
        case FloatDistribution(step=None):
            return Float(dist.low, dist.high, dist.log)
        case IntDistribution(step=1):
            return Int(dist.low, dist.high, dist.log)
        case CategoricalDistribution():
            options: Any = dist.choices
            branches = {option: _level(distributions, f"{key}[{option}].", placed) for option in options}
            return Choice(branches if any(branches.values()) else options)
    raise SpaceError(
        f"distribution {dist!r} of {key!r} has no counterpart; use a range without steps or a choice"
    )
