"""The checkpoints at a place."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from autotune.checkpoint.form import Checkpoints
from autotune.checkpoint.local import CheckpointStore
from autotune.checkpoint.stored import StoredCheckpoints
from autotune.storage.location import Remote, locate
from autotune.storage.opening import store_at


def open_checkpoints(place: str | Path | Remote) -> Checkpoints:
    """The checkpoints at a place."""
    found = locate(place)
    return CheckpointStore(found) if isinstance(found, Path) else _stored(found)


@lru_cache
def _stored(place: Remote) -> StoredCheckpoints:
    return StoredCheckpoints(place, store_at(place))  # one courier for all who ask in this process
