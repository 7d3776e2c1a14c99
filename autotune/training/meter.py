"""A stopwatch that gives every second exactly one label, and a count of declared FLOPs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from torch import Tensor

from autotune.ledger import Charge, Label, Ledger

Note: TypeAlias = Callable[[Iterable[float], Iterable[float]], None]

COUNTED: Final = (Label.TRAIN, Label.SCORE, Label.SELECT)  # what makes up a trial's fidelity


class Meter:
    """What a trial has spent since its last report; what nobody claims is overhead.

    Args:
        clock: Seconds from any origin.
        note: Given the FLOPs and the seconds of every label, in the order of `Label`, after each charge.
        account: Whose it is; what all trials share is charged to the account that had it computed.

    Attributes:
        counted: FLOPs of training, scoring and selecting since the trial began; they make its fidelity.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, note: Note | None = None, account: str = ""
    ) -> None:
        self.counted = 0.0
        self.account = account
        self._shared: set[str] = set()
        self._note = note
        self._clock = clock
        self._flops = dict.fromkeys(Label, 0.0)
        self._seconds = dict.fromkeys(Label, 0.0)
        self._label = Label.OVERHEAD
        self._mark = clock()

    def switch(self, label: Label) -> Label:
        """From now on seconds are spent on `label`; returns the label until now."""
        now = self._clock()
        before = self._label
        self._seconds[before] += now - self._mark
        self._mark = now
        self._label = label
        return before

    @contextmanager
    def measure(self, label: Label) -> Iterator[None]:
        """Seconds within are spent on `label`."""
        before = self.switch(label)
        try:
            yield
        finally:
            self.switch(before)

    def charge(self, label: Label, flops: float) -> None:
        """Add declared FLOPs."""
        self._flops[label] += flops
        if label in COUNTED:
            self.counted += flops
        if self._note is not None:
            self._note(self._flops.values(), self._seconds.values())

    def charge_shared(self, name: str, account: str, flops: float) -> None:
        """Add FLOPs of what all trials share, once in a trial's life, and only to the account it is in."""
        if account == self.account and name not in self._shared:
            self._shared.add(name)
            self.charge(Label.SHARED, flops)

    def ledger(self) -> Ledger:
        """Everything since the last report, up to now."""
        self.switch(self._label)
        spent = {label: Charge(self._flops[label], self._seconds[label]) for label in Label}
        return Ledger({label: charge for label, charge in spent.items() if charge != Charge()})

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The account and the count."""
        spent = self.ledger().to_json()
        return {}, {"counted": self.counted, "spent": spent, "shared": sorted(self._shared)}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go on from a saved account; what this process has spent so far stays on top of it."""
        self.counted = state["counted"]
        self._shared = set(state["shared"])
        for label, charge in Ledger.from_json(state["spent"]).charges.items():
            self._flops[label] += charge.flops
            self._seconds[label] += charge.seconds
