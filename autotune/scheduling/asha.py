"""Asynchronous successive halving over compute (Li et al., 2020, https://arxiv.org/abs/1810.05934)."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, final

from autotune.errors import ConfigurationError, unknown
from autotune.events import SEARCH, Assigned, Event, Failed, Opened, Proposed, Reported
from autotune.scheduling.base import Decision, Fits, Promote, Scheduler, Start, anything
from autotune.scheduling.front import Ranked, empty_rungs
from autotune.scheduling.rung import check_rungs, geometric_rungs


class Variant(StrEnum):
    """When a trial at a rung moves on."""

    PROMOTION = "promotion"  # once it is among the best 1/reduction there, however long that takes
    STOPPING = "stopping"  # at once or never


@dataclass
class AshaState:
    """What ASHA remembers.

    Attributes:
        rungs: Results at each.
        began: The rung that each search trial was assigned to first; -1 before that.
        lowest: The lowest of them.
        going_on: Who may go on (stopping).
    """

    rungs: list[Ranked]
    began: dict[int, int] = field(default_factory=dict)
    lowest: int = -1
    going_on: deque[Promote] = field(default_factory=deque)


@final
@dataclass(frozen=True)
class ASHA(Scheduler[AshaState]):
    """Give many trials a little compute, and the best 1/reduction at each rung `reduction` times more.

    Where a study has more aims than its score, the best are those of `FrontRung`.

    Attributes:
        horizon: Fidelity of full training, in epoch-equivalents.
        lowest: Fidelity of the first rung; may be below 1.
        reduction: Share kept at each rung is 1/reduction, and rungs are about as many times as high as the
            one below; at least 2.
        variant: Promotion waits for a trial's turn and wastes least; stopping decides at once.
    """

    horizon: float
    lowest: float = 0.1
    reduction: int = 3
    variant: Variant = Variant.PROMOTION

    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_rungs(self.lowest, self.horizon, self.reduction)
        if self.variant not in list(Variant):
            raise ConfigurationError(unknown("variant", self.variant, [one.value for one in Variant]))

    @property
    def rungs(self) -> tuple[float, ...]:
        """Fidelities at which trials are compared, ascending."""
        return geometric_rungs(self.lowest, self.horizon, self.reduction)

    def initial(self) -> AshaState:
        """Empty rungs."""
        return AshaState(empty_rungs({}, len(self.rungs)))

    def apply(self, state: AshaState, event: Event) -> AshaState:
        """Record, then compare: a result counts among those that it is compared with."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                state.began[event.trial] = -1
            case Reported() if event.trial in state.began:
                rung = state.rungs[event.rung]
                last, stopping = event.rung == len(state.rungs) - 1, self.variant == Variant.STOPPING
                counts = _earned(state, event)
                rung.record(event.score, event.trial, not stopping, counts, event.metrics)
                if stopping and not last and judge(event.trial, event.score, rung, self.reduction):
                    state.going_on.append(Promote(event.trial, event.rung + 1))
            case Failed() if event.trial in state.began:
                state.rungs[event.rung].record(math.nan, event.trial, counts=_earned(state, event))
            case Assigned() if state.began.get(event.trial) == -1:
                state.began[event.trial] = event.rung
                state.lowest = event.rung if state.lowest < 0 else min(state.lowest, event.rung)
            case Assigned() if event.trial in state.began:
                state.rungs[event.rung - 1].promoted(event.trial)
                if state.going_on and (going := Promote(event.trial, event.rung)) in state.going_on:
                    state.going_on.remove(going)
            case Opened():
                state.rungs = empty_rungs(event.study, len(state.rungs))
        return state

    def decide(self, state: AshaState, fits: Fits = anything) -> Decision:
        """Advance who has earned it and fits, highest rung and best score first; else start a new trial."""
        if self.variant == Variant.STOPPING:
            return next(filter(fits, state.going_on), Start())
        for index in range(len(state.rungs) - 2, -1, -1):
            for trial in state.rungs[index].promotable(self.reduction):
                if fits(going := Promote(trial, index + 1)):
                    return going
        return Start()


def _earned(state: AshaState, event: Reported | Failed) -> bool:
    """Whether the trial began as low as any, or was promoted to this rung."""
    return state.began[event.trial] <= state.lowest or event.rung > state.began[event.trial]


def judge(trial: int, score: float, rung: Ranked, reduction: int) -> bool:
    """Whether a trial goes on: among the best 1/reduction of all results at its rung, this one included.

    A result that is not finite never goes on. The first results at a rung are kept (at least one always is).
    """
    return rung.among_best(trial, score, max(1, rung.count // reduction))
