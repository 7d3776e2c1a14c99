"""What training, scoring, selecting and evaluating cost, under one label each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Label(StrEnum):
    """What a second or a FLOP was spent on; every one of a trial's has exactly one label."""

    TRAIN = "train"  # forward and backward passes, optimizer steps, and what a decay branch adds
    SCORE = "score"  # collecting signals
    SELECT = "select"  # the selection rule itself
    SHARED = "shared"  # what is computed once for all trials: a hold-out model, features of an encoder
    EVALUATE = "evaluate"  # the validation split at a rung
    OVERHEAD = "overhead"  # building, moving data, checkpoints, reporting


@dataclass(frozen=True, slots=True)
class Charge:
    """Declared FLOPs, on which decisions are based, and measured seconds, which are only reported."""

    flops: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Charge) -> Charge:
        return Charge(self.flops + other.flops, self.seconds + other.seconds)


NOTHING: Final = Charge()


@dataclass(frozen=True, slots=True)
class Ledger:
    """An immutable account: one charge per label.

    Attributes:
        charges: Absent labels cost nothing.
    """

    charges: Mapping[Label, Charge] = field(default_factory=dict)

    def __getitem__(self, label: Label) -> Charge:
        return self.charges.get(label, NOTHING)

    def __add__(self, other: Ledger) -> Ledger:
        if self.charges.keys() == other.charges.keys():  # as nearly always, many thousand times
            return Ledger({label: charge + other.charges[label] for label, charge in self.charges.items()})
        if not self.charges:  # as for each trial once
            return Ledger({label: other.charges[label] for label in Label if label in other.charges})
        labels = [label for label in Label if label in self.charges or label in other.charges]
        return Ledger({label: self[label] + other[label] for label in labels})

    def __sub__(self, other: Ledger) -> Ledger:
        """What this account holds beyond another; nothing is below 0."""
        left = {
            label: Charge(max(0.0, a.flops - other[label].flops), max(0.0, a.seconds - other[label].seconds))
            for label, a in self.charges.items()
        }
        return Ledger({label: charge for label, charge in left.items() if charge != Charge()})

    @property
    def own(self) -> Ledger:
        """Without what all trials share.

        Decisions read this: which trial comes to compute what all share is a matter of timing.
        """
        if Label.SHARED not in self.charges:
            return self
        return Ledger({label: charge for label, charge in self.charges.items() if label is not Label.SHARED})

    @property
    def total(self) -> Charge:
        """All labels together."""
        flops = seconds = 0.0
        for charge in self.charges.values():  # one by one, as any version of Python adds
            flops += charge.flops
            seconds += charge.seconds
        return Charge(flops, seconds)

    def epochs(self, reference_flops: float) -> float:
        """Reference epoch-equivalents: all FLOPs over those of one reference pass."""
        return self.total.flops / reference_flops

    def money(self, price_per_hour: float) -> float:
        """The price of all seconds on a device that costs `price_per_hour`."""
        return self.total.seconds / 3600 * price_per_hour

    def to_json(self) -> dict[str, list[float]]:
        """As `{label: [flops, seconds]}`."""
        return {label.value: [charge.flops, charge.seconds] for label, charge in self.charges.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ledger:
        """Undo `to_json`."""
        return cls({Label(name): Charge(float(f), float(s)) for name, (f, s) in data.items()})
