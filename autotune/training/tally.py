"""What a start of a trial has spent, noted where the death of its process cannot lose it."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, final

from autotune.errors import StorageError
from autotune.ledger import Charge, Label, Ledger

_NAME: Final = "spent"
_SHAPE: Final = struct.Struct(f"<q{2 * len(Label)}d")  # assignment, FLOPs by label, seconds by label


@final
class Tally:
    """The account of one start, in a file of the trial's folder that is written over and over.

    What was written outlives a process that is killed, if not a machine that dies. A note costs about two
    microseconds.

    Args:
        folder: The trial's checkpoint folder, which exists.
        assignment: What the start works on.
        node: Type of the machine.

    Raises:
        StorageError: When the folder cannot be written.
    """

    def __init__(self, folder: Path, assignment: int, node: str) -> None:
        self._assignment = assignment
        path = folder / _NAME
        try:
            path.unlink(missing_ok=True)  # a worker of an earlier driver may still write to that one
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.pwrite(self._file, node.encode(), _SHAPE.size)
        except OSError as error:
            raise StorageError(
                f"cannot write {path}: {error.strerror}; give a storage path that can be written"
            ) from error

    def note(self, flops: Iterable[float], seconds: Iterable[float]) -> None:
        """Write down the account so far, label by label."""
        with contextlib.suppress(OSError):  # a full disk ends the study at the next checkpoint
            os.pwrite(self._file, _SHAPE.pack(self._assignment, *flops, *seconds), 0)

    def close(self) -> None:
        """Note no more; what was noted stays until it is taken, or until the trial's next start."""
        os.close(self._file)


def take(folder: Path, assignment: int) -> tuple[Ledger, str]:
    """What the trial's last start had noted, and the type of its machine; told only once.

    Args:
        folder: The trial's checkpoint folder.
        assignment: Nothing is told of another one.
    """
    path = folder / _NAME
    try:
        content = path.read_bytes()
        path.unlink()
        number, *cells = _SHAPE.unpack(content[: _SHAPE.size])
    except (OSError, struct.error):  # it never began, or died before its first note
        return Ledger(), "local"
    if number != assignment:
        return Ledger(), "local"
    flops, seconds = cells[: len(Label)], cells[len(Label) :]
    charges = {label: Charge(f, s) for label, f, s in zip(Label, flops, seconds, strict=True) if f or s}
    return Ledger(charges), content[_SHAPE.size :].decode()
