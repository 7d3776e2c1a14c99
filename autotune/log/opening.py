"""The log at a place, to write or to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autotune.errors import FolderError
from autotune.events import Event
from autotune.log import local, stored
from autotune.log.form import Commit, commits
from autotune.storage.location import Location
from autotune.storage.opening import store_at
from autotune.storage.patient import OPENING_S, Patient


def open_log(place: Location) -> local.TrialLog | stored.StoredLog:
    """The writing end of the log at a place.

    Raises:
        LockedError: When another driver writes to it.
        StorageError: When the place cannot be written.
        FolderError: When the format is newer.
    """
    if isinstance(place, Path):
        return local.TrialLog(place)
    return stored.StoredLog(store_at(place), str(place.parent))


def has_begun(place: Location) -> bool:
    """Whether anything was ever written to a log."""
    if isinstance(place, Path):
        return bool(local.paths(place))
    return bool(stored.written(_patient(place)))


def no_study(path: Location) -> FolderError:
    """What to say of a study's folder whose log has not begun."""
    return FolderError(
        f"{path} holds no study: give the folder that `autotune run` or `Study(path=...)` made; a first "
        "start that failed leaves none, so fix what it complained of and run it again"
    )


def read_events(place: Location) -> Iterator[Event]:
    """All events of a log, in order, without owning it.

    Raises:
        LogError: When an event before the last is damaged.
        FolderError: When the format is newer.
    """
    for commit in read_commits(place):
        yield from commit.events


def read_commits(place: Location) -> Iterator[Commit]:
    """The same, commit by commit, with the time of each.

    Raises:
        LogError, FolderError: As `read_events`.
    """
    yield from commits(local.segments(place) if isinstance(place, Path) else stored.segments(_patient(place)))


def _patient(place: Location) -> Patient:
    return Patient(store_at(place), patience_s=OPENING_S)
