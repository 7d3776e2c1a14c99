"""Machines that are about to go, as Ray knows them: SIGTERM to `ray start --block`, or `ray drain-node`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import ray
from ray._private.state import state

_LOOK_S: Final = 0.5


def draining() -> Mapping[str, int]:
    """Nodes that take no new work and will be gone, by their Ray ids in hexadecimal.

    Returns:
        When each goes, in milliseconds since 1970; 0 when nobody said.
    """
    nodes: Mapping[str, int] = state.get_draining_nodes()  # Ray has no public way to ask
    return nodes


def staying(nodes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of Ray's nodes that are not about to go: only for them should work be planned."""
    going = draining()
    return [node for node in nodes if node["NodeID"] not in going]


def notice() -> threading.Event:
    """Set once the machine of this process is about to go.

    It is a thread that asks: without a head, an answer takes until there is one again.
    """
    noticed = threading.Event()
    here = ray.get_runtime_context().get_node_id()

    def watch() -> None:
        while not noticed.is_set():
            with suppress(Exception):  # a head that is away for a while is no reason to fail a trial
                if here in draining():
                    noticed.set()
            time.sleep(_LOOK_S)

    threading.Thread(target=watch, name="autotune-notice", daemon=True).start()
    return noticed
