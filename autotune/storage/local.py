"""A folder as a store."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

from autotune.folders import is_partial, partial, storage, synchronise
from autotune.storage.store import Store, Stored


@final
class LocalStore(Store):
    """A folder as a store; what was put survives a crash of the machine.

    Args:
        folder: Made when something is first put.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_new(self, name: str, content: bytes) -> bool:
        """Create a name; a link is made only where there is none."""
        with storage("write to", self.folder), self._written(name, content) as half:
            try:
                os.link(half, self.folder / name)
            except FileExistsError:
                return self.get(name) == content
            synchronise((self.folder / name).parent)
        return True

    def put(self, name: str, content: bytes | Path) -> None:
        """Write a name; renamed last."""
        if isinstance(content, Path) and not content.is_file():
            raise FileNotFoundError(content)
        with storage("write to", self.folder), self._written(name, content) as half:
            half.replace(self.folder / name)
            synchronise((self.folder / name).parent)

    def get(self, name: str) -> bytes | None:
        """The content."""
        with storage("read", self.folder):
            try:
                return (self.folder / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def part(self, name: str, start: int, length: int, tag: str = "") -> bytes | None:
        """Some bytes of the content."""
        with storage("read", self.folder):
            try:
                with (self.folder / name).open("rb") as file:
                    if tag and tag_of(os.fstat(file.fileno())) != tag:
                        return None
                    file.seek(start)
                    return file.read(length)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def look(self, under: str = "") -> list[Stored]:
        """What is there, without what is half-written."""
        found: list[Stored] = []
        with storage("read", self.folder):
            for path in (self.folder / under).rglob("*"):
                if not is_partial(path):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        facts = path.stat()
                        if stat.S_ISREG(facts.st_mode):
                            name = path.relative_to(self.folder).as_posix()
                            found.append(Stored(name, facts.st_size, tag_of(facts)))
        return sorted(found, key=lambda one: one.name)

    def delete(self, *names: str) -> None:
        """Remove names."""
        with storage("write to", self.folder):
            for name in names:
                (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def _written(self, name: str, content: bytes | Path) -> Iterator[Path]:
        """The content under a name that nobody takes for finished."""
        folder = (self.folder / name).parent
        folder.mkdir(parents=True, exist_ok=True)
        half = partial(folder)
        try:
            with half.open("xb") as file:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield half
        finally:
            half.unlink(missing_ok=True)


def tag_of(facts: os.stat_result) -> str:
    """What changes with the content of a file: the time of its last change."""
    return f"{facts.st_mtime_ns:x}"
