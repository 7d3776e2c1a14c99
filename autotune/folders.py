"""Folders and files that are there whole or not at all; what is in a folder is known by its hash."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

from autotune.errors import StorageError

MANIFEST: Final = "manifest.json"
_PARTIAL: Final = ".partial-"
HASHES: Final = "sha256"
ABANDONED_S: Final = 3600.0  # without a byte written: nobody writes it any more
WAIT_S: Final = 0.2  # between two looks at whether another worker is done


def partial(folder: Path) -> Path:
    """A name in a folder that nobody takes for finished; see `sweep`."""
    return folder / f"{_PARTIAL}{uuid.uuid4().hex}"


def is_partial(path: Path) -> bool:
    """Whether a name was given by `partial`."""
    return path.name.startswith(_PARTIAL)


def sweep(folder: Path, abandoned_s: float) -> None:
    """Remove what unfinished writes have left in a folder, and nobody has touched for so long.

    A worker that was given up may still live, and another one may be writing here at this moment.
    """
    for path in folder.glob(f"{_PARTIAL}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime >= abandoned_s:
                shutil.rmtree(path, ignore_errors=True)


def publish(target: Path, files: Mapping[str, bytes], facts: Mapping[str, Any]) -> None:
    """Write a folder; when this returns it survives a crash of the machine. One of that name is replaced.

    It is written under another name, synchronised, and renamed last; its manifest, written after the files,
    holds the facts and the hash of each file, so that what was damaged later is noticed too.

    Args:
        target: The folder; the one that it is in is made when absent.
        files: Contents by name.
        facts: JSON; `sha256` is taken.

    Raises:
        OSError: When it cannot be written.
    """
    place = partial(target.parent)
    place.mkdir(parents=True)
    for name, content in files.items():
        _write(place / name, content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    _write(place / MANIFEST, json.dumps({**facts, HASHES: hashes}).encode())
    if target.exists():  # maybe damaged, so replace it
        target.rename(partial(target.parent))
    place.rename(target)
    synchronise(target.parent)


def manifest(folder: Path) -> dict[str, Any] | None:
    """The facts of a folder; None when there is no such folder, or it has none."""
    try:
        facts = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and isinstance(facts.get(HASHES), dict) else None


def contents(folder: Path, *names: str) -> dict[str, bytes] | None:
    """Some files of a folder; None when one of them is not what was written."""
    facts = manifest(folder)
    try:
        files = {name: (folder / name).read_bytes() for name in names}
    except OSError:
        return None
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return files if facts and all(facts[HASHES].get(name) == hashes[name] for name in names) else None


@contextmanager
def storage(action: str, path: Path) -> Iterator[None]:
    """Say which path could not be used for what.

    Raises:
        StorageError: Instead of the system's own error.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot {action} {path}: {error.strerror or error}; give a storage path that can be written"
        ) from error


@contextmanager
def replacing(target: Path, remedy: str) -> Iterator[Path]:
    """A place to write a file at, which takes the name of `target` last: a reader never sees half of it.

    Args:
        target: The file; the folder that it is in is made when absent.
        remedy: What to do where it cannot be written.

    Raises:
        StorageError: Instead of the system's own error.
    """
    writer = f"{platform.node()}.{os.getpid()}"  # containers of several machines have the same process ids
    half = target.with_name(f".{target.name}.{writer}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield half
        half.replace(target)
    except StorageError:  # of what was to be written
        raise
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}; {remedy}") from error
    finally:
        with suppress(OSError):  # gone where all went well
            half.unlink(missing_ok=True)


@contextmanager
def alone(path: Path, beat: Callable[[], object]) -> Iterator[None]:
    """Keep other processes of this node out; the system lets the lock go when its holder dies.

    Args:
        path: The file that is locked; made when absent, in a folder that is there.
        beat: Called while waiting.

    Raises:
        StorageError: When it cannot be made.
    """
    with storage("write to", path):
        lock = path.open("a")
    with lock:
        while not _locked(lock):
            beat()
            time.sleep(WAIT_S)
        yield


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks here: then nobody is kept out
        return True
    return True


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def synchronise(folder: Path) -> None:
    """Make the names in a folder survive a crash, where the system lets folders be synchronised."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
