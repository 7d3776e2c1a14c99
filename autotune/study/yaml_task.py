"""The task of a study that is written as YAML: a function, imported by name and called."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from autotune.errors import AutotuneError, StorageError, unknown
from autotune.importing import load_function
from autotune.task import Task
from autotune.training.failures import message_of
from autotune.work import Workload
from autotune.yaml_nodes import Node


def make_task(node: Node, arguments: Mapping[str, Node], importable: Sequence[Path]) -> Task | Workload:
    """Import and call the function that makes a task.

    Args:
        node: Its name, `package.module:function`.
        arguments: What it is called with, by name.
        importable: Folders put on the import path, the first of them first.

    Raises:
        ConfigurationError: When it cannot be imported or called, or returns something else.
        StorageError: When it cannot read what it needs.
    """
    spec = node.typed(str)
    with node.here():
        function = load_function(spec, importable)
    given = {name: one.value() for name, one in arguments.items()}
    takes = inspect.signature(function)
    try:
        takes.bind(**given)
    except TypeError as error:
        known = ", ".join(takes.parameters) or "none"
        takes_any = any(one.kind is one.VAR_KEYWORD for one in takes.parameters.values())
        extra = next((name for name in given if name not in takes.parameters), None)
        if extra is not None and not takes_any:
            raise arguments[extra].error(unknown("argument", extra, takes.parameters)) from error
        raise node.error(f"task_arguments do not fit: {error}; the function takes: {known}") from error
    try:
        made = function(**given)
    except StorageError:
        raise
    except AutotuneError as error:
        raise _blamed(str(error), node, arguments).error(str(error)) from error
    except Exception as error:
        text = f"making the task raised {message_of(error)}"
        raise _blamed(text, node, arguments).error(text) from error
    if not isinstance(made, Task | Workload):
        raise node.error(
            f"must return a Task, got {type(made).__name__}; return at.Classification(...) or alike"
        )
    return made


def _blamed(text: str, node: Node, arguments: Mapping[str, Node]) -> Node:
    """The argument whose value an error names, else the task."""
    for one in arguments.values():
        value = one.value()
        if isinstance(value, str) and value and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text):
            return one
    return node
