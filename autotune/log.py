"""The trial log: append-only, hash-chained, fsynced, with one writer at a time.

A log is a folder of segments, `EEEEEE-SSSSSS.jsonl`: the E-th driver's S-th file, each created only if it
is absent. The first line of a segment says after how many events it continues, so that whatever an older
driver still writes afterwards is not part of the log. Each further line is one commit, whole or void: some
events (`e`), how many there are by then (`n`), the hash of them and everything before them (`h`), and the
time (`t`), which no decision reads.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

from autotune.errors import AutotuneError, FolderError, LockedError, LogError, StorageError
from autotune.events import Event, from_json, to_json

FORMAT: Final = 1
SEGMENT: Final = re.compile(r"(\d{6})-(\d{6})\.jsonl")
ROLL_BYTES: Final = 8 << 20

Headed: TypeAlias = tuple[int, Path, dict[str, Any]]  # a segment: its driver, and its first line


@dataclass(frozen=True)
class Tail:
    """Where a log ends: the number of events, and the hash of them all."""

    sequence: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Commit:
    """Events that were written together.

    Attributes:
        time_s: When, in seconds since 1970 by the driver's clock; told to people, never decided upon.
        events: What happened.
        tail: Where the log ended with them.
    """

    time_s: float
    events: list[Event]
    tail: Tail


def _chain(digest: str, body: str) -> str:
    return hashlib.sha256((digest + body).encode()).hexdigest()[:32]


def _line(tail: Tail, events: Sequence[Event], now: float) -> tuple[str, Tail]:
    body = json.dumps([to_json(event) for event in events], allow_nan=False, separators=(",", ":"))
    after = Tail(tail.sequence + len(events), _chain(tail.digest, body))
    return f'{{"n":{after.sequence},"h":"{after.digest}","t":{now:.3f},"e":{body}}}\n', after


def _segments(folder: Path) -> list[tuple[int, int, Path]]:
    found = [(SEGMENT.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(m[1]), int(m[2]), path) for m, path in found if m)


def _header(path: Path) -> dict[str, Any]:
    with path.open() as file:
        line = file.readline()
    try:
        header: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return {}  # its writer died while creating it: it holds nothing
    if header.get("format") != FORMAT:
        raise FolderError(
            f"{path} has log format {header.get('format')!r}; this autotune reads format {FORMAT}: "
            "upgrade autotune, or choose another study folder"
        )
    return header


def _headed(folder: Path) -> list[Headed]:
    headed = [(epoch, path, _header(path)) for epoch, _, path in _segments(folder)]
    return [(epoch, path, header) for epoch, path, header in headed if header]


def _commits(headed: Sequence[Headed]) -> Iterator[Commit]:
    tail = Tail()
    for epoch, path, header in headed:
        # Where the next driver took over, everything that this one still wrote is void.
        fence = min((later["after"] for other, _, later in headed if other > epoch), default=math.inf)
        if header["after"] >= fence:
            continue
        if header["after"] != tail.sequence:
            raise LogError(
                f"{path} continues after event {header['after']}, but the log ends at {tail.sequence}: "
                "a segment is missing; restore it from a backup"
            )
        with path.open() as file:
            file.readline()
            for line in file:
                parsed = _parse(line, tail)
                if parsed is None and line.endswith("\n") and file.readline():
                    raise LogError(f"{path} is damaged after event {tail.sequence}: restore it from a backup")
                if parsed is None or parsed.tail.sequence > fence:
                    break  # a half-written last line never happened; neither did what a replaced driver wrote
                tail = parsed.tail
                yield parsed


def _parse(line: str, tail: Tail) -> Commit | None:
    try:
        record = json.loads(line)
        body = line[line.index('"e":') + 4 : line.rindex("}")]
    except ValueError:
        return None
    after = Tail(tail.sequence + len(record["e"]), _chain(tail.digest, body))
    if not line.endswith("\n") or record["n"] != after.sequence or record["h"] != after.digest:
        return None
    return Commit(float(record.get("t", 0.0)), [from_json(event) for event in record["e"]], after)


def has_begun(folder: Path) -> bool:
    """Whether anything was ever written to a log."""
    return bool(_segments(folder))


def no_study(path: Path) -> FolderError:
    """What to say of a study's folder whose log has not begun."""
    return FolderError(
        f"{path} holds no study: give the folder that `autotune run` or `Study(path=...)` made; a first "
        "start that failed leaves none, so mend what it complained of and run it again"
    )


def read_events(folder: Path) -> Iterator[Event]:
    """All events of a log, in order, without owning it.

    Raises:
        LogError: When an event before the last is damaged.
        FolderError: When the format is newer.
    """
    for commit in read_commits(folder):
        yield from commit.events


def read_commits(folder: Path) -> Iterator[Commit]:
    """The same, commit by commit, with the time of each.

    Raises:
        LogError, FolderError: As `read_events`.
    """
    yield from _commits(_headed(folder))


class TrialLog:
    """The writing end of a log, of which one exists at a time.

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
            self._past = _commits(_headed(folder))
        except FolderError:
            self._lock.close()  # nobody writes here; a restored log can be opened at once
            raise
        self._epoch = max((epoch for epoch, _, _ in _segments(folder)), default=0) + 1
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
        line, tail = _line(self._tail, events, time.time())
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

    def _writable(self) -> TextIO:
        if (self._folder / f"{self._epoch + 1:06d}-000000.jsonl").exists():
            raise LockedError(f"a newer driver has taken over the study in {self._folder.parent}")
        if self._file is not None and self._file.tell() < ROLL_BYTES:
            return self._file
        if self._file is not None:
            self._file.close()
        path = self._folder / f"{self._epoch:06d}-{self._part:06d}.jsonl"
        try:
            self._file = path.open("x")
        except FileExistsError as error:
            raise LockedError(f"another driver took over the study in {self._folder.parent}") from error
        self._part += 1
        self._file.write(json.dumps({"format": FORMAT, "after": self._tail.sequence}) + "\n")
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name must survive as well as the content
        except OSError as error:
            if error.errno != errno.EINVAL:  # some network file systems cannot
                raise
        finally:
            os.close(folder)
        return self._file
