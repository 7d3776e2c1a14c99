"""The trial log in an object store, which cannot append: one segment holds one commit."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from functools import partial
from typing import final

from autotune.errors import AutotuneError, LockedError
from autotune.events import Event
from autotune.log.form import SEGMENT, Segment, Tail, chained, commits, first_line, header, name
from autotune.log.lease import LEASE_S, Lease
from autotune.storage.patient import OPENING_S, Patient
from autotune.storage.store import Store


@final
class StoredLog:
    """The writing end of a log in a store, of which one exists at a time.

    Args:
        store: Of the log alone.
        where: What to call the study.
        lease_s: Seconds without a sign of life after which another driver counts as dead.

    Raises:
        LockedError: When another driver writes to it.
        StorageError: When the store says no, or has been away for `OPENING_S`.
        FolderError: When the format is newer.
    """

    def __init__(self, store: Store, where: str, lease_s: float = LEASE_S) -> None:
        opening = Patient(store, patience_s=OPENING_S)
        self._store, self._where = Patient(store), where
        least = max((epoch for epoch, _ in written(opening)), default=0)
        self._lease = Lease(store, where, least, lease_s)
        self._tail, self._part = Tail(), 0
        try:
            self._past = commits(segments(opening))  # after the claim: nothing can be added to it unseen
        except BaseException:
            self.close()
            raise

    @property
    def epoch(self) -> int:
        """Which driver this is, counted from 1."""
        return self._lease.epoch

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
        """Write events so that they are there for good: all of them or none; waits while the store is away.

        Raises:
            LockedError: When a newer driver has taken over; what it did not find did not happen.
            LogError: When what is there is damaged.
        """
        if not events:
            return
        for _ in self.read():
            pass
        line, tail = chained(self._tail, events, time.time())
        content = (first_line(self._tail.sequence) + line).encode()
        self._lease.check_seen()
        if not self._store.put_new(name(self.epoch, self._part), content):
            raise LockedError(f"another driver took over the study in {self._where}")
        self._lease.check()  # nothing acts on a commit that a newer driver may not have found
        self._part += 1
        self._tail = tail

    def close(self) -> None:
        """Give up ownership; safe to call twice."""
        self._lease.release()


def written(store: Store) -> list[tuple[int, str]]:
    """The names of a log's segments with their drivers, in order."""
    found = [(int(m[1]), int(m[2]), name) for name in store.names() if (m := SEGMENT.fullmatch(name))]
    return [(epoch, name) for epoch, _, name in sorted(found)]


def segments(store: Store) -> list[Segment]:
    """The segments of a log that hold something, in order, read side by side.

    Raises:
        FolderError: When the format is newer.
    """
    found = []
    names = written(store)
    for (epoch, path), content in zip(names, store.get_all(path for _, path in names), strict=True):
        first, _, rest = (content or b"").decode(errors="replace").partition("\n")
        facts = header(first, path)
        if facts:
            found.append(Segment(epoch, path, facts["after"], partial(io.StringIO, rest, "\n")))
    return found
