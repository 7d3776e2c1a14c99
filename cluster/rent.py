"""How long the machines of a cluster were held, and how many trials had place there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from autotune.cluster.connection import GROUP, slots
from autotune.events import Held

LOCAL: Final = "local"


@final
class Rent:
    """Adds up looks at a cluster: what is there at a look is taken to have been since the look before.

    What is looked at every second is billed to within a second per machine that comes or goes.

    Args:
        resources: What a trial occupies.
        now: When the machines began to be held, in seconds of any clock.
    """

    def __init__(self, resources: Mapping[str, float], now: float) -> None:
        self._resources = resources
        self._last = now
        self._machines: dict[str, float] = {}
        self._places: dict[str, float] = {}

    def look(
        self, nodes: Sequence[Mapping[str, Any]], now: float, booting: Mapping[str, int] | None = None
    ) -> Held:
        """Take in what the cluster holds now.

        Args:
            nodes: As Ray's table has them, dead ones included.
            now: Of the same clock as before.
            booting: Machines by type that were asked for, are paid for, and are not in the table yet.

        Returns:
            Everything held so far.
        """
        elapsed, self._last = max(0.0, now - self._last), now
        for node in nodes:
            if node["Alive"]:
                name = str(node.get("Labels", {}).get(GROUP) or LOCAL)
                _add(self._machines, name, elapsed)
                _add(self._places, name, elapsed * slots([dict(node)], self._resources))
        for name, count in (booting or {}).items():
            _add(self._machines, name, elapsed * count)
        return Held(dict(self._machines), dict(self._places))


def _add(account: dict[str, float], name: str, seconds: float) -> None:
    account[name] = account.get(name, 0.0) + seconds
