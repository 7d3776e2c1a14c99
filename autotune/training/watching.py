"""Who reads which parameter: one that nobody reads is most likely misspelt."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from dataclasses import replace
from typing import Any

from torch import nn

from autotune.errors import SpaceError, unknown
from autotune.events import Config
from autotune.space import SearchSpace
from autotune.task import ModelTask, Task
from autotune.training.settings import TRAINING_NAMES


class Watched(dict[str, Any]):
    """A configuration that remembers which of its names were read; looking at all of it reads every name.

    It is a dict and no mere mapping, since that is what factories get in earnest.

    Attributes:
        read: The names that were read.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default."""
        self.read.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self._all()
        return super().__iter__()

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # the view of a dict has a private type
        """All names."""
        self._all()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]  # as above
        """All values."""
        self._all()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]  # as above
        """All names with their values."""
        self._all()
        return super().items()

    def copy(self) -> dict[str, Any]:
        """A plain copy."""
        self._all()
        return super().copy()

    def __or__(self, other: Any) -> Any:
        self._all()
        return super().__or__(other)

    def __ror__(self, other: Any) -> Any:
        self._all()
        return super().__ror__(other)

    def _all(self) -> None:
        self.read.update(super().keys())


def watched(task: Task, read: set[str]) -> Task:
    """The task with a model factory that notes which names it reads."""
    if not isinstance(task, ModelTask):
        return task

    def factory(config: Config) -> nn.Module:
        noted = Watched(config)
        try:
            return task.model(noted)
        finally:
            read.update(noted.read)

    return replace(task, model=factory)


def check_names(space: SearchSpace, read: set[str]) -> None:
    """Look for parameters that neither training nor the policy nor the model factory reads.

    Raises:
        SpaceError: When there is one; the text suggests the nearest known name.
    """
    for name in space.names():
        if name in TRAINING_NAMES or name == "policy" or name.startswith("policy.") or name in read:
            continue
        known = TRAINING_NAMES | read
        raise SpaceError(
            f"nobody reads parameter {name!r}: {unknown('parameter', name, known)}; "
            "correct it, or read it in the model factory"
        )
