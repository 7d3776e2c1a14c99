"""Which files a source means, and which of them form the official test part."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autotune.errors import DataError

Source = str | Path | Sequence[str | Path]

_TEST_WORDS: Final = frozenset({"test", "t10k"})


@dataclass(frozen=True)
class Files:
    """The files of a source in reading order.

    Attributes:
        train: Files whose rows come first.
        test: Files of the official test part; empty when the source has none.
    """

    train: tuple[Path, ...]
    test: tuple[Path, ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """All of them; sample ids count their rows in this order."""
        return (*self.train, *self.test)


def find(source: Source, suffixes: Sequence[str]) -> Files:
    """Resolve a file, several files, a folder or a glob pattern, in sorted order.

    Of several files, those with `test` as a word in their name are the official test part.

    Raises:
        DataError: When nothing is found.
    """
    paths = _expand(source, suffixes) if isinstance(source, str | Path) else [Path(each) for each in source]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is not a file; check the path and that the data is on this machine")
    if not paths:
        raise DataError(
            f"no file with suffix {' or '.join(suffixes)} at {source}; {neighbours(Path(str(source)))}"
        )
    test = tuple(path for path in paths if is_test(path))
    if len(test) == len(paths):
        return Files(train=tuple(paths))  # only the test part was asked for: then it is the data
    return Files(tuple(path for path in paths if not is_test(path)), test)


def is_test(path: Path) -> bool:
    """Whether `test` (or MNIST's `t10k`) is a word of the file's name."""
    return not _TEST_WORDS.isdisjoint(re.split(r"[-_.\s]+", path.name.lower()))


def neighbours(path: Path) -> str:
    """What lies where nothing suitable was found, as the next step of an error message."""
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f"{folder} does not exist"
    names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in folder.iterdir())
    return f"{folder} has: {', '.join(names[:12]) or 'nothing'}{', ...' if len(names) > 12 else ''}"


def _expand(source: str | Path, suffixes: Sequence[str]) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        return sorted(each for each in path.iterdir() if each.suffix.lower() in suffixes and each.is_file())
    if path.exists():
        return [path]
    matches = sorted(Path(match) for match in glob.glob(str(source)))  # noqa: PTH207 -- absolute patterns too
    if not matches:
        raise DataError(f"{source} does not exist; {neighbours(path)}")
    return matches
