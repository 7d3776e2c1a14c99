"""The machines of a simulation, and what goes wrong with them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, fields
from typing import Final, final

from autotune.engines.simulated import Simulated
from autotune.errors import ConfigurationError
from autotune.events import Interrupted, Outcome
from autotune.seeds import derive
from autotune.work import Assignment

CERTAIN: Final = 10.0  # losses expected before anything is saved: with more nothing would get through


@final
@dataclass(frozen=True)
class Fleet:
    """Workers that run one assignment at a time each.

    Attributes:
        workers: How many at most, at least 1.
        price: Of one worker for an hour, in any currency, at least 0; it is paid while it is held.
        stragglers: Share of assignments that are slow, in [0, 1].
        slowdown: How many times as long those take, at least 1.
        losses: Machines lost per worker and hour of work, at least 0; what ran there goes on from what it has
            saved.
        startup: Seconds before an assignment begins to train, at least 0.
        boot: Seconds until a machine is there that is needed for the first time, or instead of a lost one.
        idle: Seconds after which a worker with nothing to do is given back, at least 0; two minutes is what
            the clusters do that autotune renders. Infinity where none ever is.
        checkpoint: Seconds of training between two checkpoints, at least 0; a study saves once a minute.
    """

    workers: int = 1
    price: float = 0.0
    stragglers: float = 0.0
    slowdown: float = 3.0
    losses: float = 0.0
    startup: float = 0.0
    boot: float = 0.0
    idle: float = 120.0
    checkpoint: float = 60.0

    def __post_init__(self) -> None:
        least = {"workers": 1, "slowdown": 1}
        for one in fields(self):
            value, bound = getattr(self, one.name), least.get(one.name, 0)
            endless = one.name == "idle"
            if not (value >= bound and (math.isfinite(value) or endless)):
                finite = "" if endless else "finite and "
                raise ConfigurationError(f"fleet.{one.name} must be {finite}at least {bound}, got {value}")
        if self.stragglers > 1:
            raise ConfigurationError(f"fleet.stragglers must be a share in [0, 1], got {self.stragglers}")
        expected = self.losses / 3600 * (self.startup + self.checkpoint)
        if expected > CERTAIN:
            raise ConfigurationError(
                f"fleet.losses={self.losses:g} per worker and hour: {expected:.3g} losses are expected "
                f"before a trial's first checkpoint (at most {CERTAIN:g}), and none would make progress; "
                "lower losses, startup or checkpoint"
            )

    def engine(self, seed: int) -> Simulated:
        """An engine in virtual seconds on these machines; trials take what their ledgers say."""
        slow = random.Random(derive(seed, "stragglers"))
        chance = random.Random(derive(seed, "losses"))

        def duration(assignment: Assignment, outcome: Outcome) -> float:
            times = self.slowdown if self.stragglers and slow.random() < self.stragglers else 1.0
            seconds = 0.0 if isinstance(outcome, Interrupted) else outcome.ledger.total.seconds
            return self.startup + seconds * times

        def attempts(duration: float) -> list[float]:
            found = []
            while self.losses and (lost := chance.expovariate(self.losses / 3600)) < duration:
                found.append(lost)
                duration -= self._saved(lost - self.startup)
            return [*found, duration]

        return Simulated(
            self.workers, duration, attempts=attempts, boot=self.boot, idle=self.idle, charged=True
        )

    def _saved(self, trained: float) -> float:
        """Of so many seconds of training, those that a checkpoint holds."""
        if trained <= 0 or self.checkpoint == 0:
            return max(trained, 0.0)
        return trained // self.checkpoint * self.checkpoint
