"""The matrix of faults: what is done to a study in each row, and the bars that its figures must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from . import on_cloud, on_hosts, on_storage

Figures: TypeAlias = dict[str, Any]

WHOLE: Final[Mapping[str, float]] = {  # of every row: nothing is lost, and nothing decided differently
    "trials_lost": 0,
    "saved_quanta_repeated": 0,
    "excess_quanta": 0,
    "different_decisions": 0,
}
ANY_ORDER: Final = {name: limit for name, limit in WHOLE.items() if name != "different_decisions"}
HEADLESS: Final = {**WHOLE, "quanta_begun_again": 0, "late_beyond_downtime_s": 15.0}


@final
@dataclass(frozen=True)
class Row:
    """One kind of fault, as often as the long form wants it.

    Attributes:
        run: Given an empty folder; returns figures.
        bars: The largest that each figure may be.
        faults: At least so many.
        needs: A program that must be there.
    """

    run: Callable[[Path], Figures]
    bars: Mapping[str, float]
    faults: int = 1
    needs: str | None = None

    def misses(self, figures: Figures) -> list[str]:
        """Which figures are beyond their bars."""
        beyond = [name for name, limit in self.bars.items() if not figures[name] <= limit]
        return beyond + (["faults"] if figures["faults"] < self.faults else [])


MATRIX: Final[Mapping[str, Row]] = {
    "node": Row(on_hosts.nodes, {**WHOLE, "p95_s": 6.0}, 12),
    "power": Row(on_hosts.power, {**WHOLE, "p95_s": 20.0}, 4),
    "driver": Row(on_hosts.drivers, WHOLE, 6),
    "head": Row(on_hosts.rocks, HEADLESS, 3),
    "head_redis": Row(on_hosts.redis, HEADLESS, 3, needs="redis-server"),
    "scaling": Row(
        on_cloud.scaling, {**ANY_ORDER, "spread_s": 2.0, "missing_machines": 0, "idle_share": 0.10}, 0
    ),
    "notice": Row(on_cloud.notice, {**ANY_ORDER, "wasted_quanta": 3, "replaced_s": 2.0}, 3),
    "spot": Row(on_cloud.spot, {**ANY_ORDER, "wasted_quanta": 3, "replaced_s": 2.0}, 3),
    "spot_heavy": Row(on_cloud.spot_heavy, {**ANY_ORDER, "wasted_share": 0.10, "bill_error": 0.01}, 5),
    "storage": Row(
        on_storage.outages,
        {
            "trials_lost": 0,
            "different_decisions": 0,
            "different_charges": 0,
            "charged_beyond_s": 2.0,
            "untold": 0,
        },
        len(on_storage.OUTAGES),
    ),
    "soak": Row(on_hosts.soak, {**WHOLE, "missing_kinds": 0}, 50),
}
