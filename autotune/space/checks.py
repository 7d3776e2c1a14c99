"""What is wrong with a space as a whole, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autotune.errors import PolicyError, SelectorError, unknown
from autotune.policy import POLICY, Policy, policy_parameters
from autotune.selection import selector_names
from autotune.space.dimensions import Choice, Dimension, Fixed


@dataclass(frozen=True)
class Problem:
    """Why a space cannot be searched.

    Attributes:
        path: Names and options from the top to what is wrong: `("policy", "el2n", "fraction")`.
        text: The same for a person.
    """

    path: tuple[str, ...]
    text: str


def first_problem(parameters: Mapping[str, Dimension]) -> Problem | None:
    """The first thing that makes a space unusable, or None."""
    if not parameters:
        return Problem((), "a search space must name at least one parameter, got none")
    return next(_policy_problems(parameters[POLICY]), None) if POLICY in parameters else None


def _policy_problems(dimension: Dimension) -> Iterator[Problem]:
    """Options must be registered selectors, and every corner of their parameters a policy."""
    if not isinstance(dimension, Choice | Fixed):
        yield Problem((POLICY,), f"policy must be a choice of selectors, got {dimension!r}")
        return
    for option in dimension.extremes():
        name = str(option)
        if name not in selector_names():
            text = unknown("selector", name, selector_names())
            yield Problem((POLICY, name), f"policy: {text}; import the module of one of your own first")
            continue
        children = dimension.children(option) if isinstance(dimension, Choice) else {}
        known = policy_parameters(name)
        misspelt = [child for child in children if child not in known]
        for child in misspelt:
            text = unknown(f"parameter of policy {name!r}", child, known)
            yield Problem((POLICY, name, child), text)
        if not misspelt:
            yield from _corner_problems(name, children)


def _corner_problems(name: str, children: Mapping[str, Dimension]) -> Iterator[Problem]:
    """Try each end of each range beside the middles of the others, then all upper ends together."""
    middles: dict[str, Any] = {child: dim.middle() for child, dim in children.items()}
    for child, dim in children.items():
        for value in dim.extremes():
            if text := _refusal(name, {**middles, child: value}):
                yield Problem((POLICY, name, child), f"{child}={value!r}: {text}")
    highest = {child: dim.extremes()[-1] for child, dim in children.items()}
    if text := _refusal(name, highest):
        yield Problem((POLICY, name), f"with every range at its upper end: {text}")


def _refusal(name: str, values: Mapping[str, Any]) -> str | None:
    config = {POLICY: name, **{f"{POLICY}.{child}": value for child, value in values.items()}}
    try:
        Policy.from_config(config)
    except (PolicyError, SelectorError) as error:
        return str(error)
    except TypeError as error:  # a string where a number belongs, or a required field that is not given
        return f"policy {name!r} cannot be built: {error}; give values of the right kind, numbers as numbers"
    return None
