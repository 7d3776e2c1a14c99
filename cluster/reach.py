"""Whether every node sees the storage that the driver sees: it looks for what the driver has put there."""

from __future__ import annotations

import platform
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from autotune.cluster.connection import ask_every_node
from autotune.errors import ConfigurationError, StorageError
from autotune.storage.location import Location
from autotune.storage.opening import store_at
from autotune.storage.patient import OPENING_S, Patient

PATIENCE_S: Final = (
    OPENING_S + 30.0
)  # that the nodes get to answer; those that are gone by then are not asked


@final
@dataclass(frozen=True)
class Mark:
    """What the driver has put into a study's storage.

    Attributes:
        place: The storage.
        name: What it is called there.
        content: What nobody else can have written.
    """

    place: Location
    name: str
    content: bytes

    @classmethod
    def plant(cls, place: Location) -> Mark:
        """Put a new one there.

        Raises:
            StorageError: When that is not possible.
        """
        nonce = uuid.uuid4().hex
        mark = cls(place, f"reach-{nonce[:8]}", nonce.encode())
        Patient(store_at(place), patience_s=OPENING_S).put(mark.name, mark.content)
        return mark

    def problem(self) -> str | None:
        """What keeps this machine from reading what the driver has put there, and from writing beside it."""
        try:
            store = Patient(store_at(self.place), patience_s=OPENING_S)
            if store.get(self.name) != self.content:
                return _unseen(self.place)
            beside = f"{self.name}-{uuid.uuid4().hex[:8]}"
            store.put(beside, b"")
            store.delete(beside)
        except ConfigurationError as error:
            return f"node {platform.node()}: {error}"
        except StorageError as error:
            return f"node {platform.node()} {error}; let it use the storage as the driver does"
        return None

    def remove(self) -> None:
        """Leave nothing behind, where the storage lets us."""
        with suppress(StorageError):
            store_at(self.place).delete(self.name)


def unreached(mark: Mark) -> list[str]:
    """What keeps nodes that are alive from a mark that was planted, one sentence each."""
    answers = ask_every_node(_problem, mark, patience_s=PATIENCE_S)
    return [problem for _, problem in answers if isinstance(problem, str)]  # a node lost meanwhile has none


def _problem(mark: Mark) -> str | None:
    return mark.problem()


def _unseen(place: Location) -> str:
    if isinstance(place, Path):
        return (
            f"node {platform.node()} does not see {place}, which is a folder of the driver's machine alone; "
            "give the study a path in an object store, such as s3://bucket/prefix, or in a folder that every "
            "node mounts at the same place"
        )
    return f"node {platform.node()} sees another {place} than the driver; use the same endpoint on all nodes"
