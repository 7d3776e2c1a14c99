"""The saved trials of a study."""

from autotune.checkpoint.form import Checkpoint, Checkpoints, Place
from autotune.checkpoint.local import CheckpointStore
from autotune.checkpoint.opening import open_checkpoints
from autotune.checkpoint.stored import StoredCheckpoints

__all__ = ["Checkpoint", "CheckpointStore", "Checkpoints", "Place", "StoredCheckpoints", "open_checkpoints"]
