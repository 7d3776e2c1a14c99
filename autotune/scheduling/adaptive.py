"""Successive halving that learns which rungs to trust, and how far."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar, Final, final

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Assigned, Event, Failed, Opened, Proposed, Reported
from autotune.objectives import Aims
from autotune.policy import POLICY
from autotune.scheduling.arms import Arms
from autotune.scheduling.asha import ASHA, AshaState
from autotune.scheduling.base import Decision, Fits, Promote, Scheduler, Start, anything
from autotune.scheduling.rung import Place, Rung, best_first, check_rungs, geometric_rungs, without

RECENT: Final = 100  # pairs of scores that a rung is judged by: what is proposed changes as a search goes on
LEAST: Final = 8  # such pairs, before which a rung is taken at its word
WATCHED: Final = 0.1  # of a budget in epoch-equivalents: the most that looking at a rung may take
CONFIDENCE: Final = 0.8  # with which the best trial is to be among those that are kept


@dataclass
class Level:
    """A rung, and what is known about its ranks.

    Attributes:
        results: Of all trials that count here.
        exempt: A heap of trials that leave it whatever their score.
        exempted: How many there have been.
        pairs: Scores of such trials here and at the next rung, minus infinity for a failure there.
        agreement: Rank correlation of these pairs; None where there are too few.
    """

    results: Rung = field(default_factory=Rung)
    exempt: list[Place] = field(default_factory=list)
    exempted: int = 0
    pairs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=RECENT))
    agreement: float | None = None


@dataclass
class AdaptiveState:
    """What has been learnt.

    Attributes:
        levels: By rung.
        first: The lowest rung that eliminates.
        witness: Of each search trial that was exempt at all rungs so far, its score at the last of them: a
            fair sample; None for those that have competed.
        unearned: Trials on their way to a rung that their rank did not earn them; they compete there, and
            count only if they do well.
        watching: Epoch-equivalents that looking at a rung may take.
        began: Search trials that were assigned.
        lowest: The lowest rung that one of them began at; -1 before any did.
        arms: How far each has come.
    """

    levels: list[Level]
    arms: Arms
    first: int = 0
    witness: dict[int, float | None] = field(default_factory=dict)
    unearned: set[int] = field(default_factory=set)
    watching: float = math.inf
    began: set[int] = field(default_factory=set)
    lowest: int = -1


@final
@dataclass(frozen=True)
class AdaptiveASHA(Scheduler[AdaptiveState | AshaState]):
    """ASHA by promotion whose first rung eliminates only if its ranks last, and the more the better they do.

    Some trials leave the lowest eliminating rung whatever their score, so that it is seen, without the bias
    of selection, whether ranks there and at the next rung agree. Where they do not, that rung stops
    eliminating, and the next is examined. Where they do, it keeps no more than the share that holds the best
    trial with a probability of .8, if the scores of neighbouring rungs are normal with that correlation: with
    many trials that is far less than 1/reduction, and the compute goes into more of them.

    With `lent`, every arm, that is option of the choice `policy`, meets every rung: see `Arms`.

    Where a study has more aims than its score, which have no such correlation, this is ASHA.

    Attributes:
        horizon: Fidelity of full training, in epoch-equivalents.
        lowest: Fidelity of the first rung; may be below 1.
        reduction: The lowest eliminating rung keeps between 1/reduction**2 and 1/reduction, those above
            1/reduction; rungs are about as many times as high as the one below. At least 2.
        probation: Trials that are exempt at first, at least 0; with 0 and no share this is ASHA. With models
            of the reference's size they take a tenth of a budget in epoch-equivalents at most; a rung where
            that is too little to tell ranks apart is taken at its word.
        share: Of all trials there that are exempt, where that is more, in [0, 1].
        trusted: Least rank correlation with the next rung at which a rung eliminates, in [-1, 1].
        lent: Share of the compute that representatives of arms may take, in [0, 1]; 0 for none.
    """

    horizon: float
    lowest: float = 0.1
    reduction: int = 3
    probation: int = 10
    share: float = 0.03
    trusted: float = 0.6
    lent: float = 0.0

    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_rungs(self.lowest, self.horizon, self.reduction)
        if self.probation < 0:
            raise ConfigurationError(f"probation must be at least 0 trials, got {self.probation}")
        for name in ("share", "lent"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not -1.0 <= self.trusted <= 1.0:
            raise ConfigurationError(f"trusted must be in [-1, 1], got {self.trusted}")

    @property
    def rungs(self) -> tuple[float, ...]:
        """Fidelities at which trials are compared, ascending."""
        return geometric_rungs(self.lowest, self.horizon, self.reduction)

    def initial(self) -> AdaptiveState:
        """Every rung is taken at its word."""
        return AdaptiveState([Level() for _ in self.rungs], Arms(self.rungs))

    def apply(self, state: AdaptiveState | AshaState, event: Event) -> AdaptiveState | AshaState:
        """Record, learn from those who were exempt, and see who is exempt here."""
        if isinstance(event, Opened) and Aims.of(event.study):
            state = self._plain.initial()
        if isinstance(state, AshaState):
            return self._plain.apply(state, event)
        match event:
            case Opened():
                budget = event.study.get("plan", {}).get("budget", {}).get("epochs")
                state.watching = math.inf if budget is None else WATCHED * budget
            case Proposed(phase=phase) if phase == SEARCH:
                state.witness[event.trial] = None
                state.arms.arm[event.trial] = str(event.config.get(POLICY))
            case Assigned() if event.trial in state.witness and event.trial not in state.began:
                state.arms.begin(event.trial, event.rung, event.until - event.since, represents=False)
                state.began.add(event.trial)
                state.lowest = event.rung if state.lowest < 0 else min(state.lowest, event.rung)
                if event.rung > state.lowest:
                    state.unearned.add(event.trial)
            case Assigned() if event.trial in state.witness:
                represents = self._promoted(state, event.trial, event.rung - 1)
                state.arms.begin(event.trial, event.rung, event.until - event.since, represents)
            case Reported() if event.trial in state.witness:
                self._answered(state, event.trial, event.rung, event.score)
            case Failed() if event.trial in state.witness:
                self._answered(state, event.trial, event.rung, math.nan)
        return state

    def decide(self, state: AdaptiveState | AshaState, fits: Fits = anything) -> Decision:
        """Advance who is exempt or has earned it and fits, highest rung first; else start a new trial."""
        if isinstance(state, AshaState):
            return self._plain.decide(state, fits)
        for rung in range(len(state.levels) - 2, -1, -1):
            level = state.levels[rung]
            exempt = (trial for _, trial in best_first(level.exempt))
            for trial in chain(exempt, level.results.best_waiting(self.quota(state, rung))):
                if fits(going := Promote(trial, rung + 1)):
                    return going
        return state.arms.next(self.lent, fits) or Start()

    @property
    def _plain(self) -> ASHA:
        return ASHA(self.horizon, self.lowest, self.reduction)

    def quota(self, state: AdaptiveState, rung: int) -> int:
        """How many of the results at a rung go on."""
        level, above = state.levels[rung], len(state.levels) - 1 - rung
        count = level.results.count
        if rung < state.first:  # it eliminates nobody, who began here or was only watched below included
            return len(level.results.ranking)
        if rung > state.first or level.agreement is None:
            return count // self.reduction
        share = kept_share(max(level.agreement, 0.0) ** above, count)
        return math.floor(count * min(max(share, self.reduction**-2), 1 / self.reduction) + 1e-9)

    def _answered(self, state: AdaptiveState, trial: int, rung: int, score: float) -> None:
        level, before = state.levels[rung], state.witness[trial]
        state.arms.answer(trial, rung, score)
        if before is not None:
            self._learn(state, rung - 1, (before, score if math.isfinite(score) else -math.inf))
        exempt = (before is not None or rung == 0) and self._exempts(state, rung, score)
        lost = not score >= level.results.kth_best(max(1, level.results.count // self.reduction))
        counts = not (trial in state.unearned and lost)  # who was only watched must not raise others' quota
        level.results.record(score, trial, waits=not exempt, counts=counts)
        state.unearned.discard(trial)
        state.witness[trial] = score if exempt else None
        if exempt:
            heapq.heappush(level.exempt, (-score, trial))
            level.exempted += 1

    def _exempts(self, state: AdaptiveState, rung: int, score: float) -> bool:
        level = state.levels[rung]
        if rung == len(state.levels) - 1 or rung > state.first or not math.isfinite(score):
            return False
        affordable = state.watching / (self.rungs[rung + 1] - self.rungs[rung])
        enough = max(self.probation, self.share * level.results.count)
        looked = affordable >= LEAST and level.exempted < min(enough, affordable)
        return rung < state.first or looked

    def _learn(self, state: AdaptiveState, rung: int, pair: tuple[float, float]) -> None:
        level = state.levels[rung]
        level.pairs.append(pair)
        level.agreement = rank_correlation(level.pairs)
        agreements = [one.agreement for one in state.levels[:-2]]  # the last but one always eliminates
        trusted = [one is None or one >= self.trusted for one in agreements]
        state.first = trusted.index(True) if True in trusted else len(trusted)

    def _promoted(self, state: AdaptiveState, trial: int, rung: int) -> bool:
        """Let a trial leave a rung; whether it does so for its arm."""
        level, quota = state.levels[rung], self.quota(state, rung)
        exempt = next((place for place in best_first(level.exempt) if place[1] == trial), None)
        if exempt is not None:
            level.exempt = without(level.exempt, trial)
            if not level.results.holds(exempt, quota):
                state.unearned.add(trial)
            return False
        earned = trial in level.results.best_waiting(quota)
        level.results.promoted(trial)
        if not earned:
            level.exempt = without(level.exempt, trial)
            state.unearned.add(trial)
        return not earned


def rank_correlation(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Spearman's, in [-1, 1]; None for fewer than `LEAST` pairs, or where one side is all alike."""
    both = np.array(list(pairs))
    if len(both) < LEAST or (both == both[0]).all(0).any():
        return None
    ranks = rankdata(both, axis=0)
    return float(np.corrcoef(ranks, rowvar=False)[0, 1])


def kept_share(correlation: float, count: int) -> float:
    """The share of the best at a rung that holds the one that ends best with a probability of .8.

    Args:
        correlation: Of the scores there with those at the end, taken as jointly normal, in [0, 1].
        count: Trials at the rung, of which one ends best.
    """
    best = ndtri(count / (count + 1))  # about where the best of so many draws lies
    spread = math.sqrt(1.0 - correlation**2)
    return float(1.0 - ndtr(correlation * best - ndtri(CONFIDENCE) * spread))
