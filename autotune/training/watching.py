"""A configuration that remembers which of its names were read."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any


class Watched(dict[str, Any]):
    """A dict for a model factory; looking at it as a whole counts as reading every name.

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
