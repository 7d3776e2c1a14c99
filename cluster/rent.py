"""How long the machines of a cluster were held, and how many trials had place there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, final

from autotune.cluster.connection import GROUP, slots
from autotune.cluster.render.common import CHECKS, CHECKS_EVERY_S
from autotune.events import Held

LOCAL: Final = "local"
LOST: Final = 2  # Ray's reason of a node's death where it answered no more (UNEXPECTED_TERMINATION)
SILENT_S: Final = (CHECKS - 1) * CHECKS_EVERY_S  # at least so long it had been gone by then


@final
class Rent:
    """Adds up looks at a cluster: what is there at a look is taken to have been since the look before.

    What is looked at every second is billed to within a second per machine that comes or goes. A machine
    that was lost without a notice had not answered for `SILENT_S` when Ray gave it up: those are taken off
    what its kind is billed next.

    Args:
        resources: What a trial occupies.
        now: When the machines began to be held, in seconds of any clock.
        nodes: Those that were there by then, as Ray's table has them.
    """

    def __init__(
        self, resources: Mapping[str, float], now: float, nodes: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._resources = resources
        self._last = now
        self._alive = {node["NodeID"] for node in nodes if node["Alive"]}
        self._pending: Mapping[str, AbstractSet[str]] = {}
        self._joined: Counter[str] = Counter()  # which the autoscaler still takes for booting
        self._machines, self._places = _Account(), _Account()

    def look(
        self,
        nodes: Sequence[Mapping[str, Any]],
        now: float,
        booting: Mapping[str, AbstractSet[str]] | None = None,
    ) -> Held:
        """Take in what the cluster holds now.

        Args:
            nodes: As Ray's table has them, dead ones included.
            now: Of the same clock as before.
            booting: Machines by type that were asked for and are paid for, by the autoscaler's names. It says
                so a second longer than they boot; whoever is in the table already is not paid twice.

        Returns:
            Everything held so far.
        """
        elapsed, self._last = max(0.0, now - self._last), now
        pending = booting or {}
        for kind, gone in self._pending.items():
            self._joined[kind] -= len(gone - pending.get(kind, set()))
        for node in nodes:
            kind = str(node.get("Labels", {}).get(GROUP) or LOCAL)
            places = slots([{**node, "Alive": True}], self._resources)
            known = node["NodeID"] in self._alive
            if node["Alive"]:
                self._machines.add(kind, elapsed)
                self._places.add(kind, elapsed * places)
                self._joined[kind] += not known
            elif known and node.get("DeathReason") == LOST:
                self._machines.beyond(kind, SILENT_S)
                self._places.beyond(kind, SILENT_S * places)
        self._alive = {node["NodeID"] for node in nodes if node["Alive"]}
        self._pending = pending
        for kind, names in pending.items():
            self._joined[kind] = min(max(0, self._joined[kind]), len(names))
            self._machines.add(kind, elapsed * (len(names) - self._joined[kind]))
        self._joined = Counter({kind: self._joined[kind] for kind in pending})
        return Held(dict(self._machines.seconds), dict(self._places.seconds))


@final
class _Account:
    """Seconds by kind, which never become fewer."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._beyond: dict[str, float] = {}

    def add(self, kind: str, seconds: float) -> None:
        """Count more, but for what was counted before that should not have been."""
        off = min(seconds, self._beyond.get(kind, 0.0))
        self._beyond[kind] = self._beyond.get(kind, 0.0) - off
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds - off

    def beyond(self, kind: str, seconds: float) -> None:
        """So many were too many."""
        self._beyond[kind] = self._beyond.get(kind, 0.0) + seconds
