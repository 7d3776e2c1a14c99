"""Whether every node sees the storage that the driver sees: it looks for what the driver has put there."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from autotune.cluster.live.connection import ask_every_node, live_nodes
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

    def problem(self, patience_s: float = OPENING_S) -> str | None:
        """What keeps this machine from reading what the driver has put there, and from writing beside it.

        Args:
            patience_s: In which a store may be away; where that is longer than usual, it may also say no.
        """
        end = time.monotonic() + patience_s

        def beat() -> None:
            if time.monotonic() > end:
                raise StorageError(f"cannot use {self.place} for {patience_s:g} s now")

        try:
            there = store_at(self.place)
            late = patience_s > OPENING_S
            store = Patient(there, beat) if late else Patient(there, patience_s=patience_s)
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
    here = {node["NodeID"] for node in live_nodes() if node["Alive"]}
    told = [(node, said) for node, said in answers if node["NodeID"] in here]  # not of those lost meanwhile
    return [problem for node, said in told if (problem := _said(mark, node, said)) is not None]


def _said(mark: Mark, node: Mapping[str, Any], said: Any) -> str | None:
    if isinstance(said, Exception):
        return (
            f"node {node['NodeManagerAddress']} did not say within {PATIENCE_S:g} s whether it reaches "
            f"{mark.place} ({type(said).__name__}); look whether its mount or its network hangs"
        )
    return said if isinstance(said, str) else None


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
