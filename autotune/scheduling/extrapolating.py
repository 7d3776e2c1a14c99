"""Any scheduler, judging by where a trial's curve leads, as far as that has ranked better than scores did."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import numpy as np

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Event, Proposed, Reported
from autotune.numerics.extrapolation import Population, believed, ends, learn
from autotune.scheduling.base import Decision, Fits, Scheduler, anything

CURVES: Final = 300  # the most recent are learnt from; of every ten at one rung about three come to the next
RECENT: Final = 100  # judgements that are looked back at
FIRST: Final = 3  # scores after their trial's first with which prediction begins
LEAST: Final = 8  # judgements that came true or not before any is used
GROWTH: Final = 1.25  # of their number between two fits, so that a result costs the same in the long run
DEGREES: Final = (0.25, 0.5, 1.0)  # to which a prediction may be used
DOUBT: Final = 1.0  # standard errors by which it must have been better

Judged = tuple[float, float, float]  # a score, the lead predicted with it, and the score at the next rung


@dataclass
class ExtrapolatingState:
    """What the curves were like, and how well they were read.

    Attributes:
        inner: The scheduler's own state.
        scores: Of each search trial, by rung; NaN where there is none.
        curves: Of the recent ones that have several scores; the same lists.
        known: Scores after the first of their trial, so far.
        fitted: How many there were at the last fit; 0 before it.
        leads: By trial, how much more than usual it was last predicted to gain until the end.
        judged: What came of these predictions.
        trust: In the next, in [0, 1].
        population: As last fitted. Like `usual`, it follows from the rest.
        usual: By rung, the median of the gains that are predicted for those who came there.
    """

    inner: Any
    scores: dict[int, list[float]] = field(default_factory=dict)
    curves: deque[list[float]] = field(default_factory=lambda: deque(maxlen=CURVES))
    known: int = 0
    fitted: int = 0
    leads: dict[int, float] = field(default_factory=dict)
    judged: deque[Judged] = field(default_factory=lambda: deque(maxlen=RECENT))
    trust: float = 0.0
    population: Population | None = field(default=None, compare=False)
    usual: dict[int, float] = field(default_factory=dict, compare=False)


@final
@dataclass(frozen=True)
class Extrapolating(Scheduler[ExtrapolatingState]):
    """Tell a scheduler not the score of a trial but what it leads to, beside the others at its rung.

    From the second score on, the end of a trial's curve is predicted from the curves of the study. The
    scheduler is told the score and, on top, how much more the trial is predicted to gain than is usual from
    there; promotion and stopping then go by the predicted end. Predictions are used to the degree at which
    those of the past have ranked trials better, for the scores at the next rung, than the scores alone did;
    until they have, beyond doubt, the scheduler decides as it would without them.

    A trial is judged when it reports, and not again. Scores in the log, and what a searcher learns from, are
    as they were.

    Attributes:
        scheduler: What decides; it needs at least three rungs for a prediction to matter.
    """

    scheduler: Scheduler[Any]

    def __post_init__(self) -> None:
        if isinstance(self.scheduler, Extrapolating):
            raise ConfigurationError("scheduler must not extrapolate by itself; give the one inside")

    @property
    def rungs(self) -> tuple[float, ...]:
        """The scheduler's."""
        return self.scheduler.rungs

    def initial(self) -> ExtrapolatingState:
        """Nothing is known of curves."""
        return ExtrapolatingState(self.scheduler.initial())

    def apply(self, state: ExtrapolatingState, event: Event) -> ExtrapolatingState:
        """Learn from a score, and tell the scheduler what it leads to."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                state.scores[event.trial] = []
            case Reported() if event.trial in state.scores and math.isfinite(event.score):
                self._learn(state, event)
                event = replace(event, score=event.score + state.trust * self._lead(state, event))
        state.inner = self.scheduler.apply(state.inner, event)
        return state

    def decide(self, state: ExtrapolatingState, fits: Fits = anything) -> Decision:
        """The scheduler's decision."""
        return self.scheduler.decide(state.inner, fits)

    def _learn(self, state: ExtrapolatingState, event: Reported) -> None:
        """What came of the last prediction, and what curves are like."""
        scores = state.scores[event.trial] or [math.nan] * len(self.rungs)
        known = sum(map(math.isfinite, scores))
        if (lead := state.leads.pop(event.trial, None)) is not None:
            state.judged.append((scores[event.rung - 1], lead, event.score))
            state.trust = trust(state.judged)
        state.scores[event.trial] = scores
        scores[event.rung] = event.score
        if known == 1:
            state.curves.append(scores)
        state.known += known > 0
        if known and state.known >= max(FIRST, GROWTH * state.fitted):
            self._fit(state)

    def _fit(self, state: ExtrapolatingState) -> None:
        curves = np.array(state.curves)
        state.population = learn(state.population or believed(self.rungs), curves)
        state.fitted, state.usual = state.known, {}
        for rung in range(1, len(self.rungs) - 1):
            there = curves[np.isfinite(curves[:, rung])]
            there[:, rung + 1 :] = math.nan
            if len(there):
                state.usual[rung] = float(np.median(ends(state.population, there)[0] - there[:, rung]))

    def _lead(self, state: ExtrapolatingState, event: Reported) -> float:
        """How much more a trial is predicted to gain than is usual; 0 with one score, and at the end."""
        scores = np.array([state.scores[event.trial]])
        if state.population is None or event.rung not in state.usual or np.isfinite(scores).sum() < 2:
            return 0.0
        end = float(ends(state.population, scores)[0][0])
        state.leads[event.trial] = end - event.score - state.usual[event.rung]
        return state.leads[event.trial]


def trust(judged: Collection[Judged]) -> float:
    """The degree at which past predictions have ranked best; 0 unless that is better than plain scores.

    Better is a higher share of pairs in the right order (Kendall's tau) by more than a standard error of it,
    as a U-statistic of the trials.

    Args:
        judged: Of each trial a score, the lead that was predicted with it, and the score at the next rung.
    """
    if len(judged) < LEAST:
        return 0.0
    score, lead, later = np.array(judged).T
    value = score[:, None] + lead[:, None] * np.array((0.0, *DEGREES))
    right = np.sign(value[:, None] - value) * np.sign(later[:, None] - later)[..., None]
    gains = (right[..., 1:] - right[..., :1]).sum(1) / 2 / (len(judged) - 1)  # of each trial, in pairs
    sure = gains.mean(0) - DOUBT * 2 * gains.std(0, ddof=1) / math.sqrt(len(judged))
    best = int(sure.argmax())
    return DEGREES[best] if sure[best] > 0 else 0.0
