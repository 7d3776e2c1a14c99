"""Who reads which parameter: one that nobody reads is most likely misspelt."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, Set, ValuesView
from typing import Any

from autotune.errors import SpaceError, unknown
from autotune.space import SearchSpace
from autotune.space.tree import path


class Watched(dict[str, Any]):
    """A configuration that remembers which of its names were read; looking at all of it reads every name.

    It is a dict and no mere mapping, since that is what factories and loops get in earnest.

    Attributes:
        read: The names that were read.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        if not super().__contains__(name):
            raise KeyError(unknown("parameter", str(name), super().keys()))
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


def check_names(space: SearchSpace, offered: Set[str], read: Set[str], advice: str) -> None:
    """Look for parameters that were offered and that nobody has read.

    Args:
        space: Where they stand.
        offered: Names in the configurations that could be tried.
        read: Names that training, the model factory or the user's own loop has read.
        advice: Where to read one.

    Raises:
        SpaceError: When there is one; the text suggests the nearest known name.
    """
    for name, key, _ in space.places():
        if name in offered - read and name != "policy" and not name.startswith("policy."):
            hint = unknown("parameter", name, read).split("; ", 1)[1]
            raise SpaceError(f"parameter {name!r} is never read; {hint}; correct it, {advice}", path(key))
