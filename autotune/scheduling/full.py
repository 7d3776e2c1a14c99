"""No early stopping: every trial is trained to the end."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar, final

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Assigned, Event, Proposed, Reported
from autotune.scheduling.base import Decision, Fits, Promote, Scheduler, Start, anything


@dataclass
class FullState:
    """Which search trials go on next."""

    searching: set[int] = field(default_factory=set)
    going_on: deque[Promote] = field(default_factory=deque)


@final
@dataclass(frozen=True)
class FullTraining(Scheduler[FullState]):
    """Train every trial to the horizon; a report on the way stops it only when it is not finite.

    Attributes:
        horizon: Fidelity of full training, in epoch-equivalents.
        reports: How many evenly spaced reports a trial makes, the last at the horizon.
    """

    horizon: float
    reports: int = 1

    several: ClassVar[bool] = True  # nobody is ranked

    def __post_init__(self) -> None:
        if not self.horizon > 0:
            raise ConfigurationError(f"horizon must be above 0 epoch-equivalents, got {self.horizon}")
        if self.reports < 1:
            raise ConfigurationError(f"reports must be at least 1, got {self.reports}")

    @property
    def rungs(self) -> tuple[float, ...]:
        """Evenly spaced fidelities up to the horizon."""
        return tuple(self.horizon * (k + 1) / self.reports for k in range(self.reports))

    def initial(self) -> FullState:
        """Nobody waits."""
        return FullState()

    def apply(self, state: FullState, event: Event) -> FullState:
        """Whoever reports a finite score goes on."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                state.searching.add(event.trial)
            case Reported() if event.trial in state.searching and event.rung < self.reports - 1:
                if math.isfinite(event.score):
                    state.going_on.append(Promote(event.trial, event.rung + 1))
            case Assigned() if (going := Promote(event.trial, event.rung)) in state.going_on:
                state.going_on.remove(going)
        return state

    def decide(self, state: FullState, fits: Fits = anything) -> Decision:
        """Go on with whoever waits, else start a new trial."""
        return next(filter(fits, state.going_on), Start())
