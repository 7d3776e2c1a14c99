"""What a trial occupies in a cluster: a share of one machine, or several shares that are taken as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, final

from ray.tune import PlacementGroupFactory

from autotune.cluster.live.connection import slots
from autotune.cluster.trials.sharing import GPU
from autotune.errors import ConfigurationError, unknown

PACK: Final = "pack"
NODES: Final = "nodes"
_STRATEGY: Final = {PACK: "PACK", NODES: "STRICT_SPREAD"}


@final
@dataclass(frozen=True)
class Footprint:
    """What a trial occupies.

    Attributes:
        each: What each of its processes occupies, in Ray's names.
        processes: That train it together, each with its part of every batch.
        spread: `pack` puts them as close together as there is room, `nodes` each on a machine of its own.
    """

    each: Mapping[str, float] = field(default_factory=lambda: {"CPU": 1})
    processes: int = 1
    spread: str = PACK

    def __post_init__(self) -> None:
        if not self.each or not any(amount > 0 for amount in self.each.values()):
            raise ConfigurationError(f"resources_per_trial must ask for something, got {dict(self.each)}")
        if not isinstance(self.processes, int) or self.processes < 1:
            raise ConfigurationError(
                f"processes must be a whole number of at least 1, got {self.processes!r}"
            )
        if self.spread not in _STRATEGY:
            raise ConfigurationError(f"spread: {unknown('spread', str(self.spread), _STRATEGY)}")

    @classmethod
    def of(cls, given: Footprint | Mapping[str, Any] | None) -> Footprint:
        """What `resources_per_trial` means: resources by name, or the attributes of a footprint by theirs."""
        if isinstance(given, Footprint):
            return given
        named = {one.name for one in fields(cls)}
        if given and named & given.keys():
            if strange := sorted(given.keys() - named):
                raise ConfigurationError(f"resources_per_trial: {unknown('entry', strange[0], named)}")
            return cls(**given)
        return cls(dict(given)) if given else cls()

    @classmethod
    def usual(cls, nodes: Sequence[Mapping[str, Any]], workers: int | None) -> Footprint:
        """What a trial occupies of which nobody says it: a core and, where there are GPUs, one or its part.

        Args:
            nodes: As Ray tells of them.
            workers: That share the GPUs of these nodes; None for one GPU each.

        >>> node = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}
        >>> dict(Footprint.usual([node], None).each), dict(Footprint.usual([node], 3).each)
        ({'CPU': 1, 'GPU': 1.0}, {'CPU': 1, 'GPU': 0.5})
        """
        gpus = sum(node["Resources"].get(GPU, 0.0) for node in nodes if node["Alive"])
        if not gpus:
            return cls()
        return cls({"CPU": 1, GPU: 1.0 / math.ceil((workers or 1) / gpus)})

    @property
    def asked(self) -> str:
        """It in few words."""
        several = f"{self.processes} times " if self.processes > 1 else ""
        apart = ", each on a machine of its own" if self.processes > 1 and self.spread == NODES else ""
        return f"{several}{dict(self.each)}{apart}"

    @property
    def total(self) -> dict[str, float]:
        """What all processes occupy together."""
        return {name: amount * self.processes for name, amount in self.each.items()}

    def fits(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """How many such trials have place on the nodes that are alive.

        >>> node = {"Alive": True, "Resources": {"CPU": 4.0}}
        >>> Footprint({"CPU": 1}, processes=3).fits([node, node])
        2
        >>> Footprint({"CPU": 1}, processes=2, spread="nodes").fits([node, node])
        4
        >>> Footprint({"CPU": 1}, processes=3, spread="nodes").fits([node, node])
        0
        """
        each = [slots([node], self.each) for node in nodes]
        most = sum(each) // self.processes
        if self.spread == PACK:
            return most
        # k trials take at most k places of a node, one each
        return next(k for k in range(most, -1, -1) if sum(min(k, n) for n in each) >= k * self.processes)

    def placement(self, given: Mapping[str, Any]) -> PlacementGroupFactory:
        """All of it or nothing: Ray places the group as a whole.

        Args:
            given: Tune's configuration of a seat, with the part of a GPU that it needs, if not the usual one.
        """
        part = given.get(GPU)
        each = dict(self.each) if part is None else {**self.each, GPU: part}
        return PlacementGroupFactory([each] * self.processes, strategy=_STRATEGY[self.spread])
