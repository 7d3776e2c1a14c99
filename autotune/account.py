"""What a study has spent: by phase, by what became of it, and in money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from autotune.events import SEARCH
from autotune.history import History, Status
from autotune.ledger import Ledger

FINISHED: Final = "trained to the end"
STOPPED: Final = "stopped early"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
OPEN: Final = "still open"
WASTED: Final = (STOPPED, FAILED, INTERRUPTED)


def phases(history: History) -> dict[str, Ledger]:
    """Everything spent in each phase, what was lost included."""
    names = dict.fromkeys((*history.spent, *history.lost))
    return {name: history.spent.get(name, Ledger()) + history.lost.get(name, Ledger()) for name in names}


def fates(history: History) -> dict[str, Ledger]:
    """The search's spending by what became of it: only `trained to the end` chose a winner directly."""
    found: dict[str, Ledger] = {}
    over = history.phase != SEARCH
    for trial in history.of_phase(SEARCH):
        if trial.status is Status.FAILED:
            fate = FAILED
        elif trial.status is Status.DONE:
            fate = FINISHED
        else:
            fate = STOPPED if over and trial.status is Status.WAITING else OPEN
        found[fate] = found.get(fate, Ledger()) + trial.ledger
    lost = history.lost.get(SEARCH, Ledger())
    if lost.charges:
        found[INTERRUPTED] = lost
    return {fate: found[fate] for fate in (FINISHED, *WASTED, OPEN) if fate in found}


@final
@dataclass(frozen=True)
class Bill:
    """What the seconds of a study cost, in the currency of the prices.

    Attributes:
        phases: Amount by phase.
        machines: Amount by type of machine, those that have a price and were used.
        unpriced: Types of machine that were used and have no price: the bill leaves them out.
        unused: Types of machine that have a price and were never used; a misspelt one is here.
        idle: Of the amounts, what was paid for places where no trial ran, and for booting machines; None
            where only the seconds of trials are known, so that a machine with two of them is billed twice.
    """

    phases: Mapping[str, float]
    machines: Mapping[str, float]
    unpriced: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    idle: float | None = None

    @property
    def total(self) -> float:
        """All phases together."""
        return sum(self.phases.values())

    def per_second(self, busy_s: float) -> float:
        """What a device-second of trials cost on average, idle machines left out.

        Args:
            busy_s: Device-seconds of all trials.
        """
        return (self.total - (self.idle or 0.0)) / busy_s if busy_s > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """The bill as plain data."""
        return {
            "total": self.total,
            "phases": dict(self.phases),
            "machines": dict(self.machines),
            "unpriced": list(self.unpriced),
            "unused": list(self.unused),
            "idle": self.idle,
        }


def bill(history: History) -> Bill | None:
    """The bill so far, at the prices that were given last; None without prices.

    Of a type of machine whose time the engine told, all of that time is paid, idle or not; of others, and of
    drivers before the engine could tell, the seconds of trials.
    """
    prices = history.prices
    if not prices:
        return None
    amounts: dict[str, float] = {}
    machines: dict[str, float] = {}
    idle = 0.0
    for phase in dict.fromkeys((*history.seconds, *history.machines)):
        amounts[phase] = 0.0
        busy, held = history.seconds.get(phase, {}), history.machines.get(phase, {})
        unheld = history.unheld.get(phase, {})
        for node in dict.fromkeys((*busy, *held)):
            price, before = prices.get(node, 0.0) / 3600, unheld.get(node, 0.0)
            amount = price * (held[node] + before if node in held else busy[node])
            amounts[phase] += amount
            machines[node] = machines.get(node, 0.0) + amount
            if node in held:
                places = history.places.get(phase, {}).get(node, 0.0)
                since = busy.get(node, 0.0) - before
                idle += price * held[node] * (max(0.0, 1.0 - since / places) if places else 1.0)
    return Bill(
        amounts,
        {node: amount for node, amount in machines.items() if node in prices},
        unpriced=tuple(sorted(set(machines) - set(prices))),
        unused=tuple(sorted(set(prices) - set(machines))),
        idle=idle if history.machines else None,
    )
