"""How long the machines of a cluster were held, and how many trials had place there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, final

from autotune.cluster.live.connection import GROUP, slots
from autotune.cluster.render.common import CHECKS, CHECKS_EVERY_S
from autotune.events import Held

LOCAL: Final = "local"
LOST: Final = 2  # Ray's reason of a node's death where it answered no more (UNEXPECTED_TERMINATION)
SILENT_S: Final = (CHECKS - 1) * CHECKS_EVERY_S  # at least so long it had been gone by then


@final
class Rent:
    """Adds up looks at a cluster: what changed between two looks is taken to have changed half-way.

    A machine that was lost without a notice had not answered for `SILENT_S` when Ray gave it up: those are
    taken off what its kind is billed next.

    Args:
        resources: What a trial occupies.
        now: When the machines began to be held, in seconds of any clock.
        nodes: Those that were there by then, as Ray's table has them, dead ones included.
    """

    def __init__(
        self, resources: Mapping[str, float], now: float, nodes: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._resources = resources
        self._last = now
        self._booting: Mapping[str, AbstractSet[str]] = {}
        self._joined: Counter[str] = Counter()  # which the autoscaler still takes for booting
        self._machines, self._places = _Account(), _Account()
        self._alive: set[str] = {node["NodeID"] for node in nodes if node["Alive"]}
        self.look(nodes, now)

    def look(
        self,
        nodes: Sequence[Mapping[str, Any]],
        now: float,
        booting: Mapping[str, AbstractSet[str]] | None = None,
    ) -> Held:
        """Take in what the cluster holds now.

        Args:
            nodes: As at the beginning.
            now: Of the same clock as before.
            booting: Machines by type that were asked for and are paid for, by the autoscaler's names. It says
                so a second longer than they boot; whoever is in the table already is not paid twice.

        Returns:
            Everything held so far.
        """
        elapsed, self._last = max(0.0, now - self._last), now
        machines, places = Counter[str](), Counter[str]()
        for node in nodes:
            known = node["NodeID"] in self._alive
            if not (node["Alive"] or known):
                continue  # dead for long: there may be many
            kind = str(node.get("Labels", {}).get(GROUP) or LOCAL)
            room = slots([{**node, "Alive": True}], self._resources)
            if node["Alive"]:
                machines[kind] += 1
                places[kind] += room
                self._joined[kind] += not known
            elif node.get("DeathReason") == LOST:
                self._machines.beyond(kind, SILENT_S)
                self._places.beyond(kind, SILENT_S * room)
        self._alive = {node["NodeID"] for node in nodes if node["Alive"]}
        machines += self._awaited(booting or {})
        return Held(self._machines.count(machines, elapsed), self._places.count(places, elapsed))

    def _awaited(self, booting: Mapping[str, AbstractSet[str]]) -> Counter[str]:
        """How many boot that have not joined: a name that is gone was of one that has."""
        for kind, names in self._booting.items():
            self._joined[kind] -= len(names - booting.get(kind, set()))
        self._booting = booting
        self._joined = Counter(
            {kind: min(max(0, self._joined[kind]), len(names)) for kind, names in booting.items()}
        )
        return Counter({kind: len(names) for kind, names in booting.items()}) - self._joined


@final
class _Account:
    """Seconds by kind, which never become fewer."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._before: Counter[str] = Counter()
        self._beyond: dict[str, float] = {}

    def count(self, held: Counter[str], elapsed: float) -> dict[str, float]:
        """So many are held after so many seconds; what was counted too much before goes off."""
        for kind in sorted(held.keys() | self._before.keys()):
            seconds = elapsed * (self._before[kind] + held[kind]) / 2.0
            off = min(seconds, self._beyond.get(kind, 0.0))
            self.beyond(kind, -off)
            self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds - off
        self._before = held
        return dict(self._seconds)

    def beyond(self, kind: str, seconds: float) -> None:
        """So many were too many."""
        self._beyond[kind] = self._beyond.get(kind, 0.0) + seconds
