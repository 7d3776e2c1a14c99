"""A folder of this machine for what belongs to a place in an object store and may end with the machine."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import Final

from autotune.errors import StorageError
from autotune.folders import storage
from autotune.storage.store import Store

_IDENTITY: Final = "scratch.json"


def scratch(where: str, store: Store) -> Path:
    """The folder, the same for all processes of a user on a machine; others cannot look into it.

    Its name holds a number that the store keeps, so that whoever empties the store and begins anew under the
    same address does not meet what is left of the earlier study.

    Args:
        where: The place's address.
        store: Of that place.

    Raises:
        StorageError: When the folder cannot be made, or belongs to somebody else.
    """
    if (known := store.get(_IDENTITY)) is None:
        store.put_new(_IDENTITY, json.dumps({"id": uuid.uuid4().hex}).encode())
        known = store.get(_IDENTITY) or b""
    folder = private() / hashlib.sha256(where.encode() + b"\0" + known).hexdigest()[:24]
    with storage("make", folder):
        folder.mkdir(exist_ok=True)
    return folder


def private() -> Path:
    """The user's folder on this machine; others cannot look into it.

    Raises:
        StorageError: When it cannot be made, or belongs to somebody else.
    """
    top = Path(tempfile.gettempdir()) / f"autotune-{os.getuid()}"
    with storage("make", top):
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = top.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077 or top.is_symlink():
            raise StorageError(
                f"{top} can be written by others; remove it, or set TMPDIR to a folder of yours"
            )
    return top
