"""Names and values that a search space can hold."""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np

from autotune.errors import SpaceError

Scalar: TypeAlias = bool | int | float | str

EXACT_INT: Final = 2**53  # beyond it a float, which Optuna computes with, skips integers


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
            "a range is Float(low, high) or Int(low, high), alternatives are Choice([...]); name what is no "
            "plain value by a string, and map it in the model factory"
        )
    return value


def option_name(name: Any) -> str:
    """The name of an option that has parameters of its own, if it can be one.

    Raises:
        SpaceError: When it cannot.
    """
    if not isinstance(name, str) or not name or "[" in name or "]" in name:
        raise SpaceError(
            f"an option with parameters of its own must be a name without brackets, got {name!r}; quote it"
        )
    return name


def number(what: str, value: Any) -> float:
    """A finite real number; `what` names it in errors.

    Raises:
        SpaceError: When it is something else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpaceError(f"{what} must be a number, got {value!r} of type {type(value).__name__}")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        raise SpaceError(f"{what} must be finite, got {real}")
    return real


def integer(what: str, value: Any) -> int:
    """A whole number that a float holds exactly; `what` names it in errors.

    Raises:
        SpaceError: When it is something else.
    """
    real = number(what, value)
    if real != int(real):
        raise SpaceError(f"{what} must be a whole number, got {value!r}; use Float for real numbers")
    if abs(real) > EXACT_INT:
        raise SpaceError(f"{what} must be at most 2**53 in size, got {value!r}; search its logarithm instead")
    return int(real)
