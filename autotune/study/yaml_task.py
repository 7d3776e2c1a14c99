"""The task of a study that is written as YAML: a function, imported by name and called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autotune.errors import AutotuneError
from autotune.importing import load_function
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
    spec = node.typed(str)
    with node.here():
        function = load_function(spec, importable)
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
