"""The contract of a store: a flat space of named contents, each there whole or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stored:
    """What a store has under a name.

    Attributes:
        name: Of it.
        size: Bytes.
        tag: Changes with the content: the store's own mark, or the time on a disk; empty where neither is.
    """

    name: str
    size: int
    tag: str


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
    def part(self, name: str, start: int, length: int, tag: str = "") -> bytes | None:
        """Some bytes of a content, fewer where it ends; None when there is none, or another than was meant.

        Args:
            name: Of the content.
            start: The first byte.
            length: How many, at least 1.
            tag: Which content is meant; empty takes any.
        """

    @abstractmethod
    def look(self, under: str = "") -> list[Stored]:
        """What is in a folder and below it, sorted by name."""

    def names(self, under: str = "") -> list[str]:
        """All names in a folder and below it, sorted."""
        return [found.name for found in self.look(under)]

    @abstractmethod
    def delete(self, *names: str) -> None:
        """Remove names; those that are not there do not matter."""

    def get_all(self, names: Iterable[str]) -> list[bytes | None]:
        """The contents of several names, in order."""
        return [self.get(name) for name in names]
