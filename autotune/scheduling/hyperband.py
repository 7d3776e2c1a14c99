"""Hyperband without waiting: several ladders of ASHA side by side, each beginning at another rung.

Li et al., "Hyperband", JMLR 2018 (https://arxiv.org/abs/1603.06560), for how much each bracket gets; Li et
al., 2020 (https://arxiv.org/abs/1810.05934), for promotion without rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, final

from autotune.events import SEARCH, Assigned, Event, Failed, Opened, Proposed, Reported
from autotune.scheduling.base import Decision, Fits, Promote, Scheduler, Start, anything
from autotune.scheduling.front import Ranked, empty_rungs
from autotune.scheduling.rung import check_rungs, geometric_rungs


@dataclass
class HyperbandState:
    """The rungs of each bracket, by the rung that it begins at.

    Attributes:
        brackets: Results of its own trials only; a bracket has no results below its first rung.
        turns: Compute of the trials that were begun in each bracket's turn, as `Hyperband` reckons it. Those
            that cannot be judged as low are begun in a higher bracket, and the turn is over all the same.
        bracket: Of each search trial; -1 until it is assigned.
    """

    brackets: list[list[Ranked]]
    turns: list[float]
    bracket: dict[int, int] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Hyperband(Scheduler[HyperbandState]):
    """Hedge between stopping early and not: every bracket gets about the same compute.

    The bracket that begins at the first rung is ASHA by promotion; the last trains all its trials to the
    end. Trials compete within their bracket. Safer than ASHA where early scores mislead, and dearer where
    they do not.

    Attributes:
        horizon: Fidelity of full training, in epoch-equivalents.
        lowest: Fidelity of the first rung; may be below 1.
        reduction: Share kept at each rung is 1/reduction, and rungs are about as many times as high as the
            one below; at least 2.
    """

    horizon: float
    lowest: float = 0.1
    reduction: int = 3

    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_rungs(self.lowest, self.horizon, self.reduction)

    @property
    def rungs(self) -> tuple[float, ...]:
        """Fidelities at which trials are compared, ascending."""
        return geometric_rungs(self.lowest, self.horizon, self.reduction)

    def initial(self) -> HyperbandState:
        """Empty brackets."""
        count = len(self.rungs)
        return HyperbandState([empty_rungs({}, count) for _ in range(count)], [0.0] * count)

    def apply(self, state: HyperbandState, event: Event) -> HyperbandState:
        """A trial belongs to the bracket of the rung that it was assigned to first."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                state.bracket[event.trial] = -1
            case Assigned() if event.trial in state.bracket:
                own = state.bracket[event.trial]
                if own < 0:
                    state.bracket[event.trial] = event.rung
                    state.turns[_behind(state)] += self._costs[event.rung]
                elif event.rung > own:
                    state.brackets[own][event.rung - 1].promoted(event.trial)
            case Reported() if event.trial in state.bracket:
                rung = state.brackets[state.bracket[event.trial]][event.rung]
                rung.record(event.score, event.trial, metrics=event.metrics)
            case Failed() if event.trial in state.bracket:
                state.brackets[state.bracket[event.trial]][event.rung].record(math.nan, event.trial)
            case Opened():
                count = len(state.brackets)
                state.brackets = [empty_rungs(event.study, count) for _ in range(count)]
        return state

    def decide(self, state: HyperbandState, fits: Fits = anything) -> Decision:
        """Advance who has earned it and fits, highest rung first; else start in the bracket behind."""
        last = len(state.brackets) - 1
        for rung in range(last - 1, -1, -1):
            for bracket in state.brackets[: rung + 1]:
                for trial in bracket[rung].promotable(self.reduction):
                    if fits(going := Promote(trial, rung + 1)):
                        return going
        return Start(_behind(state))

    @cached_property
    def _costs(self) -> tuple[float, ...]:
        """Of a trial in each bracket: about its first rung, and as much again at each of the later ones."""
        rungs = self.rungs
        return tuple(rung * (len(rungs) - first) for first, rung in enumerate(rungs))


def _behind(state: HyperbandState) -> int:
    """The bracket whose turn it is."""
    return state.turns.index(min(state.turns))
