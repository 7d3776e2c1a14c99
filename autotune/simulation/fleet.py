"""The machines of a simulation, and what goes wrong with them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, fields
from typing import final

from autotune.engines.simulated import Simulated
from autotune.errors import ConfigurationError
from autotune.events import Interrupted, Outcome
from autotune.work import Assignment


@final
@dataclass(frozen=True)
class Fleet:
    """Workers that run one assignment at a time each.

    Attributes:
        workers: How many, at least 1.
        price: Of one worker for an hour, in any currency, at least 0.
        stragglers: Share of assignments that are slow, in [0, 1].
        slowdown: How many times as long those take, at least 1.
        losses: Machines lost per worker and hour, at least 0; what ran there starts again from its last rung.
        startup: Seconds before an assignment begins to train, at least 0.
    """

    workers: int = 1
    price: float = 0.0
    stragglers: float = 0.0
    slowdown: float = 3.0
    losses: float = 0.0
    startup: float = 0.0

    def __post_init__(self) -> None:
        least = {"workers": 1, "slowdown": 1}
        for one in fields(self):
            value, bound = getattr(self, one.name), least.get(one.name, 0)
            if not (math.isfinite(value) and value >= bound):
                raise ConfigurationError(f"fleet.{one.name} must be finite and at least {bound}, got {value}")
        if self.stragglers > 1:
            raise ConfigurationError(f"fleet.stragglers must be a share in [0, 1], got {self.stragglers}")

    def engine(self, seed: int) -> Simulated:
        """An engine in virtual seconds on these machines; trials take what their ledgers say."""
        chance = random.Random(seed)

        def duration(assignment: Assignment, outcome: Outcome) -> float:
            slow = self.slowdown if self.stragglers and chance.random() < self.stragglers else 1.0
            seconds = 0.0 if isinstance(outcome, Interrupted) else outcome.ledger.total.seconds
            return self.startup + seconds * slow

        return Simulated(self.workers, duration, seed=seed, loss_rate=self.losses / 3600)
