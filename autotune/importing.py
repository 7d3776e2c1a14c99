"""Modules and functions that a file or a command line names, such as `package.module:function`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from autotune.errors import ConfigurationError, unknown


def import_module(name: str, importable: Sequence[Path]) -> ModuleType:
    """Import a module by its name.

    Args:
        name: Dotted name.
        importable: Folders put on the import path, the first of them first.

    Raises:
        ConfigurationError: When it is not there, or importing it raises.
    """
    for folder in reversed(importable):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        looked = ", ".join(dict.fromkeys(str(folder) for folder in importable))
        raise ConfigurationError(f"{error}; looked in {looked} and the installed packages") from error
    except Exception as error:
        raise ConfigurationError(f"importing {name} raised {type(error).__name__}: {error}") from error


def load_function(spec: str, importable: Sequence[Path]) -> Callable[..., Any]:
    """Import a function.

    Args:
        spec: `package.module:function`.
        importable: Folders put on the import path, the first of them first.

    Raises:
        ConfigurationError: When there is no such function; the text suggests the nearest.
    """
    module_name, _, name = spec.partition(":")
    if not module_name or not name:
        raise ConfigurationError(f"must be `package.module:function`, got {spec!r}")
    module = import_module(module_name, importable)
    function = getattr(module, name, None)
    if function is None:
        public = [own for own, value in vars(module).items() if callable(value) and not own.startswith("_")]
        raise ConfigurationError(f"{module_name}: {unknown('function', name, public)}")
    if not callable(function):
        raise ConfigurationError(f"{spec} is no function but {type(function).__name__}")
    return function  # type: ignore[no-any-return]  # callable is all that can be known
