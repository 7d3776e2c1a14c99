"""The contract of a store: a flat space of named contents, each there whole or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path


class Store(ABC):
    """Contents by name; names are parts joined by slashes.

    Every method answers for good or raises; none waits for a store that is away, see `Patient`.

    Raises:
        RefusedError: When the store answers and says no: no such bucket, no permission.
        StorageError: When it is away, broken or full.
    """

    @abstractmethod
    def put_new(self, name: str, content: bytes) -> bool:
        """Create a name, unless somebody has; of all who try, one succeeds.

        Returns:
            Whether what is there now is `content`; so trying again after a lost answer is safe, and writers
            who must be told apart put something of their own into it.
        """

    @abstractmethod
    def put(self, name: str, content: bytes | Path) -> None:
        """Write a name, new or not; a reader sees the old content or the new one, never a part.

        Args:
            name: Where.
            content: Bytes, or a file, which may be larger than memory.

        Raises:
            FileNotFoundError: When there is no such file.
        """

    @abstractmethod
    def get(self, name: str) -> bytes | None:
        """The content; None when there is none."""

    @abstractmethod
    def names(self, under: str = "") -> list[str]:
        """All names in a folder and below it, sorted."""

    @abstractmethod
    def delete(self, *names: str) -> None:
        """Remove names; those that are not there do not matter."""

    def get_all(self, names: Iterable[str]) -> list[bytes | None]:
        """The contents of several names, in order."""
        return [self.get(name) for name in names]
