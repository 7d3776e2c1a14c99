"""What a study has spent: by phase, by label, by machine, and by what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from autotune.events import SEARCH, Event, Failed, Interrupted, Reported, TestRead
from autotune.history import History, Status
from autotune.ledger import Ledger

FINISHED: Final = "trained to the end"
STOPPED: Final = "stopped early"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
OPEN: Final = "still open"
WASTED: Final = (STOPPED, FAILED, INTERRUPTED)


@dataclass
class Account:
    """A fold over the events, beside the history's own.

    Attributes:
        phases: Everything spent in each phase, interrupted work included.
        seconds: Device-seconds by phase and type of machine.
        interrupted: What search assignments that were lost had spent.
    """

    phases: dict[str, Ledger] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    interrupted: Ledger = field(default_factory=Ledger)
    _nodes: dict[int, str] = field(default_factory=dict)

    def apply(self, phase: str, event: Event) -> None:
        """Take in an event that happened in a phase; those that cost nothing change nothing."""
        if not isinstance(event, Reported | Failed | Interrupted | TestRead):
            return
        self.phases[phase] = self.phases.get(phase, Ledger()) + event.ledger
        if not isinstance(event, TestRead):  # which happens where the trial was trained
            self._nodes[event.trial] = event.node
        node = self._nodes.get(event.trial, "local")
        by_node = self.seconds.setdefault(phase, {})
        by_node[node] = by_node.get(node, 0.0) + event.ledger.total.seconds
        if isinstance(event, Interrupted) and phase == SEARCH:
            self.interrupted = self.interrupted + event.ledger

    def total(self) -> Ledger:
        """All phases together."""
        return sum(self.phases.values(), Ledger())

    def unpriced(self, prices: Mapping[str, float]) -> list[str]:
        """Types of machine that were used and have no price."""
        return sorted({node for nodes in self.seconds.values() for node in nodes} - set(prices))

    def money(self, prices: Mapping[str, float], phase: str | None = None) -> float | None:
        """The bill of a phase, or of all; None without prices."""
        if not prices:
            return None
        chosen = [nodes for name, nodes in self.seconds.items() if phase in (None, name)]
        return sum(s / 3600 * prices.get(node, 0.0) for nodes in chosen for node, s in nodes.items())


def fates(history: History, account: Account) -> dict[str, Ledger]:
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
    if account.interrupted.charges:
        found[INTERRUPTED] = account.interrupted
    return {fate: found[fate] for fate in (FINISHED, *WASTED, OPEN) if fate in found}
