"""What a search may still begin: its budget, less what it has spent and what is in flight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from autotune.events import SEARCH, Assigned, Config, Event, Failed, Reported
from autotune.history import History, Trial
from autotune.policy import settings_of
from autotune.scheduling.base import Promote


@dataclass
class Purse:
    """An incremental fold over the log, in reference epoch-equivalents.

    Attributes:
        history: Of the same log; it takes in each event first.
        limit: The budget; None where it is not counted in epoch-equivalents.
        reference_flops: FLOPs of one reference epoch-equivalent.
        rungs: Of the study.
        policies: Whether configurations may differ in their policies alone.
        due: What each assignment in flight is expected to cost.
        committed: All of them together.
        sizes: By settings; see `size`.
        largest: Of all models that were seen, and the reference.
        smallest: Likewise.
    """

    history: History
    limit: float | None
    reference_flops: float
    rungs: Sequence[float]
    policies: bool
    due: dict[int, float] = field(default_factory=dict)
    committed: float = 0.0
    sizes: dict[str, float] = field(default_factory=dict)
    largest: float = 1.0
    smallest: float = 1.0

    def apply(self, event: Event) -> None:
        """Take in one more event."""
        match event:
            case Assigned():
                size = self.size(self.history.trials[event.trial])
                self.due[event.assignment] = size * (event.until - event.since)
                self.committed += self.due[event.assignment]
            case Reported() | Failed():
                self.committed -= self.due.pop(event.assignment, 0.0)
                trial = self.history.trials[event.trial]
                # how far a trial had come that failed is not known, and so neither what an epoch of it took
                if self.history.phase == SEARCH and isinstance(event, Reported) and trial.fidelity > 0:
                    size = self.size(trial)
                    self.largest, self.smallest = max(self.largest, size), min(self.smallest, size)
                    if self.policies:
                        self.sizes[_settings(trial.config)] = size

    @property
    def spent(self) -> float:
        """By the search's trials, without what all of them share."""
        spent = self.history.spent.get(SEARCH)
        return spent.own.epochs(self.reference_flops) if spent else 0.0

    @property
    def left(self) -> float:
        """After all that is in flight; infinite without a limit."""
        return math.inf if self.limit is None else self.limit - self.spent - self.committed

    def pays_for(self, promote: Promote) -> bool:
        """Whether a promotion can be begun."""
        step = self.rungs[promote.rung] - self.rungs[promote.rung - 1]
        return self.size(self.history.trials[promote.trial]) * step <= self.left

    def pays_for_any(self) -> bool:
        """Whether there may be a new trial that can be begun; where not, none need be proposed."""
        size = self.smallest if self.policies else self.largest  # other settings may be as large as any
        return size * self.rungs[0] <= self.left

    def pays_to_begin(self, config: Config, rung: int) -> bool:
        """Whether a new trial can be begun that is judged first at this rung."""
        return self._expected(config) * self.rungs[rung] <= self.left

    def size(self, trial: Trial) -> float:
        """Reference epoch-equivalents per epoch-equivalent of its own.

        A trial that has not answered is as large as one with the same settings, whatever their policies, else
        as the largest that was seen.
        """
        if trial.fidelity > 0:
            return trial.ledger.own.epochs(self.reference_flops) / trial.fidelity
        return self._expected(trial.config)

    def _expected(self, config: Config) -> float:
        return self.sizes.get(_settings(config), self.largest) if self.sizes else self.largest


def _settings(config: Config) -> str:
    return str(sorted(settings_of(config).items()))
