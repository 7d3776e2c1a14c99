"""The trial log on a disk: appended to, fsynced, and locked; see `autotune.log.form`.

Each segment is created only if it is absent, and one driver appends to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from autotune.errors import AutotuneError, FolderError, LockedError, StorageError
from autotune.events import Event
from autotune.folders import synchronise
from autotune.log.form import SEGMENT, Segment, Tail, chained, commits, first_line, header, name

ROLL_BYTES: Final = 8 << 20


def segments(folder: Path) -> list[Segment]:
    """The segments of a log that hold something, in order.

    Raises:
        FolderError: When the format is newer.
    """
    found = []
    for epoch, _, path in paths(folder):
        with path.open(encoding="utf-8", errors="replace") as file:  # what is no text has no digest that fits
            facts = header(file.readline(), str(path))
        if facts:
            found.append(Segment(epoch, str(path), facts["after"], partial(_lines, path)))
    return found


def paths(folder: Path) -> list[tuple[int, int, Path]]:
    """The files of a log with their drivers and parts, in order."""
    found = [(SEGMENT.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(m[1]), int(m[2]), path) for m, path in found if m)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        file.readline()
        yield from file


class TrialLog:
    """The writing end of a log in a folder, of which one exists at a time.

    Args:
        folder: Created when absent.

    Raises:
        LockedError: When another driver writes to it.
        StorageError: When the folder cannot be written or locked.
        FolderError: When the format is newer.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("a")
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error.strerror}; choose another path") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise LockedError(
                f"another driver owns the study in {folder.parent}; wait for it to end or stop it first"
            ) from error
        except OSError as error:  # ENOLCK, EOPNOTSUPP and alike: nobody owns it, and nobody can
            self._lock.close()
            raise StorageError(
                f"cannot lock {folder / 'lock'}: {error.strerror}; its file system keeps no locks, and so "
                "cannot keep two drivers apart: choose a path on a local disk, or mount it with locks"
            ) from error
        self._tail = Tail()
        try:
            self._past = commits(segments(folder))
        except FolderError:
            self._lock.close()  # nobody writes here; a restored log can be opened at once
            raise
        self._epoch = max((epoch for epoch, _, _ in paths(folder)), default=0) + 1
        self._part = 0
        self._file: TextIO | None = None

    @property
    def epoch(self) -> int:
        """Which driver this is, counted from 1."""
        return self._epoch

    def read(self) -> Iterator[Event]:
        """The events that were there when this log was opened, in order, each given out once.

        Writing needs to know where the log ends, so it passes over those that nobody has read.

        Raises:
            LogError, FolderError: As `read_events`; the log is then closed.
        """
        try:
            for commit in self._past:
                self._tail = commit.tail
                yield from commit.events
        except AutotuneError:
            self.close()
            raise

    def append(self, *events: Event) -> None:
        """Write events so that they survive a crash of the machine: all of them or none.

        Raises:
            LockedError: When a newer driver has taken over.
            LogError: When what is there is damaged.
            StorageError: When the disk refuses (full, read-only, gone).
        """
        if not events:
            return
        for _ in self.read():
            pass
        line, tail = chained(self._tail, events, time.time())
        try:
            file = self._writable()
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot append to the trial log in {self._folder}: {error.strerror}; free space or fix the "
                "path, then run the study again: it continues"
            ) from error
        self._tail = tail

    def close(self) -> None:
        """Give up ownership; safe to call twice."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take, `append` has told already
                self._file.close()
            self._file = None
        self._lock.close()

    def _settle(self) -> None:
        """What an earlier driver wrote last may not be on the disk yet, and what follows builds on it."""
        for _, _, path in paths(self._folder)[-1:]:
            with path.open("rb") as file:
                os.fsync(file.fileno())

    def _writable(self) -> TextIO:
        if (self._folder / name(self._epoch + 1, 0)).exists():
            raise LockedError(f"a newer driver has taken over the study in {self._folder.parent}")
        if self._file is not None and self._file.tell() < ROLL_BYTES:
            return self._file
        if self._file is not None:
            self._file.close()
        path = self._folder / name(self._epoch, self._part)
        if self._part == 0:
            self._settle()
        try:
            self._file = path.open("x")
        except FileExistsError as error:
            raise LockedError(f"another driver took over the study in {self._folder.parent}") from error
        self._part += 1
        self._file.write(first_line(self._tail.sequence))
        synchronise(self._folder)  # the name must survive as well as the content
        return self._file
