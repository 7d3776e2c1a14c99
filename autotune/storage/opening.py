"""The store at a place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from autotune.folders import replacing
from autotune.storage.local import LocalStore
from autotune.storage.location import Location, Remote
from autotune.storage.patient import OPENING_S, Patient
from autotune.storage.store import Store


def store_at(place: Location) -> Store:
    """The store at a place; object stores are slow to import, so they are when one is asked for."""
    return LocalStore(place) if isinstance(place, Path) else _remote(place)


@lru_cache
def _remote(place: Remote) -> Store:
    from autotune.storage.objects import ObjectStore

    return ObjectStore(place)  # its connections are kept for all who ask in this process


def write_text(place: Location, text: str, remedy: str) -> None:
    """Write a small text; a reader never sees half of it.

    Args:
        place: Where.
        text: What.
        remedy: What to do where a disk does not take it; an object store is waited for.

    Raises:
        StorageError: When it cannot be written.
    """
    if isinstance(place, Path):
        with replacing(place, remedy) as half:
            half.write_text(text, encoding="utf-8")
    else:
        Patient(store_at(place.parent)).put(place.name, text.encode())


@contextmanager
def staged(place: Location) -> Iterator[Path]:
    """A folder to write files in that belong to a place: its own, or one from which they are brought there.

    Raises:
        StorageError: When a disk does not take it; an object store is waited for.
    """
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="autotune-staged-") as folder:
        yield Path(folder)
        store = Patient(store_at(place))
        for path in sorted(Path(folder).iterdir()):
            store.put(path.name, path)


def read_text(place: Location) -> str | None:
    """A small text; None when there is none.

    Raises:
        StorageError: When the store cannot be read.
    """
    content = read_bytes(place)
    return None if content is None else content.decode()


def read_bytes(place: Location) -> bytes | None:
    """What is kept at a place; None when there is nothing.

    Raises:
        StorageError: When the store cannot be read.
    """
    return Patient(store_at(place.parent), patience_s=OPENING_S).get(place.name)
