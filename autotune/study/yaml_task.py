"""The task of a study that is written as YAML: a function, imported by name and called."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from autotune.errors import AutotuneError, unknown
from autotune.study.yaml_nodes import Node
from autotune.task import Task
from autotune.work import Workload


def make_task(node: Node, arguments: Mapping[str, Any], importable: Sequence[Path]) -> Task | Workload:
    """Import and call the function that makes a task.

    Args:
        node: Its name, `package.module:function`.
        arguments: What it is called with.
        importable: Folders put on the import path, the first of them first.

    Raises:
        ConfigurationError: When it cannot be imported or called, or returns something else.
    """
    function = _function(node, importable)
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        takes = ", ".join(inspect.signature(function).parameters) or "none"
        raise node.error(f"task_arguments do not fit: {error}; the function takes: {takes}") from error
    try:
        made = function(**arguments)
    except AutotuneError:
        raise
    except Exception as error:
        raise node.error(f"making the task raised {type(error).__name__}: {error}") from error
    if not isinstance(made, Task | Workload):
        raise node.error(
            f"must return a Task, got {type(made).__name__}; return at.Classification(...) or alike"
        )
    return made


def import_named(node: Node, name: str, importable: Sequence[Path]) -> ModuleType:
    """Import a module that the file names.

    Args:
        node: Where it does, for errors.
        name: Of the module.
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
        raise node.error(f"{error}; looked in {looked} and the installed packages") from error
    except Exception as error:
        raise node.error(f"importing {name} raised {type(error).__name__}: {error}") from error


def _function(node: Node, importable: Sequence[Path]) -> Callable[..., Any]:
    spec = node.typed(str)
    module_name, _, name = spec.partition(":")
    if not module_name or not name:
        raise node.error(f"must be `package.module:function`, got {spec!r}")
    module = import_named(node, module_name, importable)
    function = getattr(module, name, None)
    if function is None:
        public = [own for own, value in vars(module).items() if callable(value) and not own.startswith("_")]
        raise node.error(f"{module_name}: {unknown('function', name, public)}")
    if not callable(function):
        raise node.error(f"{spec} is no function but {type(function).__name__}")
    return function  # type: ignore[no-any-return]  # callable is all that can be known
