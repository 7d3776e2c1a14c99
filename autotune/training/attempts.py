"""How often a trial was started without getting anywhere, counted where a crash cannot lose it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from pathlib import Path
from typing import Final

from autotune.errors import StorageError

MAX_STARTS: Final = 20  # at the same fidelity; whatever kills a worker so often will do it again
_STARTS: Final = "starts.json"


class Attempts:
    """The starts of one trial, in its checkpoint folder.

    A start that ends in any way that Python sees is taken back; what remains are those that took their
    process with them.

    Args:
        folder: The trial's checkpoint folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, fidelity: float, epoch: int) -> int:
        """Count a start at this fidelity under this driver; returns how many there were before it.

        A driver that dies takes its workers with it, and so does a machine, which is no fault of theirs: each
        driver and each process that starts workers (Ray has one per node) counts anew.

        Raises:
            StorageError: When the folder cannot be written.
        """
        before = self._before(fidelity, epoch)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f"{_STARTS}.{platform.node()}.{os.getpid()}"
            start = {"fidelity": fidelity, "epoch": epoch, "under": _parent(), "starts": before + 1}
            partial.write_text(json.dumps(start))
            partial.replace(self._folder / _STARTS)
        except OSError as error:
            raise StorageError(
                f"cannot write {self._folder}: {error.strerror}; give a storage path that can be written"
            ) from error
        return before

    def end(self) -> None:
        """The start came to an end."""
        with contextlib.suppress(OSError):  # at worst one start too many is counted
            (self._folder / _STARTS).unlink()

    def _before(self, fidelity: float, epoch: int) -> int:
        try:
            counted = json.loads((self._folder / _STARTS).read_text())
            same = (counted["fidelity"], counted["epoch"], counted["under"]) == (fidelity, epoch, _parent())
            return int(counted["starts"]) if same else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0


def _parent() -> str:
    """What started this process, and on which machine; it outlives a process that a trial takes down."""
    return f"{platform.node()}:{os.getppid()}"
