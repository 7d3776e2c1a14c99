"""What a model-based searcher remembers of a study, and which trials its model is told of.

Everything that a proposal asks for is kept up as events come, so that it does not walk through all trials.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby, islice
from typing import Any, Final

from autotune.events import SEARCH, Assigned, Event, Failed, Opened, Proposed, Reported
from autotune.numerics.fronts import Point
from autotune.objectives import Aims, Order, violation
from autotune.space import SearchSpace

ELITE: Final = 25  # Optuna never models more than this many trials as the good ones


@dataclass
class Seen:
    """A search trial, as far as the searcher cares.

    Attributes:
        values: Its configuration by the space's keys.
        scores: Finite scores by rung.
        others: By rung, its values of the further objectives, the greater the better.
        excesses: By rung, how far it is past each constraint.
        failed: Whether it failed or diverged, at whatever rung.
    """

    values: Mapping[str, Any]
    scores: dict[int, float] = field(default_factory=dict)
    others: dict[int, Point] = field(default_factory=dict)
    excesses: dict[int, Point] = field(default_factory=dict)
    failed: bool = False


@dataclass(frozen=True)
class Observation:
    """What the model is told about one trial.

    Attributes:
        score: Higher is better; minus infinity for a failure; None while it runs.
        others: Of the further objectives, likewise; empty without a finite score.
        excesses: How far it is past each constraint, at most 0 where it keeps it; empty likewise.
    """

    trial: int
    values: Mapping[str, Any]
    score: float | None
    others: Point = ()
    excesses: Point = ()


@dataclass
class Observed:
    """All search trials of a study.

    Attributes:
        space: Where to search.
        trials: By number, ascending.
        running: Those that were started or promoted, and have not answered.
        failed: Those that failed or diverged, ascending.
        ranked: By rung, (-score, trial) of all results there, best first.
        ended: By rung, the trials that have a result there, ascending.
        standing: Trials that have not failed, by the first rung that they have a score at and each that they
            have one at.
        aims: Of the study besides its score.
        orders: Of the trials at each rung, where there are aims.
    """

    space: SearchSpace
    trials: dict[int, Seen] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    failed: list[int] = field(default_factory=list)
    ranked: dict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    standing: Counter[tuple[int, int]] = field(default_factory=Counter)
    aims: Aims = field(default_factory=Aims)
    orders: dict[int, Order] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Follow search trials; those of other phases never enter."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                self.trials[event.trial] = Seen(self.space.optuna_of(event.config))
                self.running.add(event.trial)
            case Assigned() if event.trial in self.trials:
                self.running.add(event.trial)
            case Reported() if event.trial in self.trials:
                self.running.discard(event.trial)
                if math.isfinite(event.score) and (not self.aims or self._weigh(event)):
                    self._score(event)
                else:
                    self._fail(event.trial)
            case Failed() if event.trial in self.trials:
                self.running.discard(event.trial)
                self._fail(event.trial)
            case Opened():
                self.aims = Aims.of(event.study)

    def rung(self, needed: int) -> int | None:
        """The highest rung with at least `needed` finite results of trials that have not failed since.

        Only trials that began at the lowest rung count. Those that cannot be judged there, as many policies
        cannot, fill a higher one while hardly any other trial has come that far; a model of that rung would
        know nothing of all that was stopped below, and propose it again.
        """
        counts = {place: count for place, count in self.standing.items() if count}
        lowest = min((first for first, _ in counts), default=0)
        enough = (rung for (first, rung), count in counts.items() if first == lowest and count >= needed)
        return max(enough, default=None)

    def told(self, rung: int, limit: int) -> list[Observation]:
        """An observation of each trial that has something to say at a rung, by trial number.

        Args:
            rung: That which is modelled.
            limit: Most finished trials: the best `ELITE` and the most recent of the rest; and most running
                ones, the latest. At least twice `ELITE`.
        """
        best = self._elite(rung)
        latest = merge(reversed(self.ended[rung]), reversed(self.failed), reverse=True)
        others = (number for number, _ in groupby(latest) if number not in best)
        recent = list(islice(others, limit - len(best)))
        running = sorted(number for number in self.running if not self._ended(number, rung))[-limit:]
        return [self._observation(number, rung) for number in sorted([*best, *recent, *running])]

    def _ended(self, number: int, rung: int) -> bool:
        seen = self.trials[number]
        return seen.failed or rung in seen.scores

    def _elite(self, rung: int) -> set[int]:
        """The best `ELITE` trials at a rung; by their scores, failures are the worst of them."""
        by_order = self.orders[rung].first(ELITE + len(self.failed)) if self.aims else ()
        ranked = by_order if self.aims else (trial for _, trial in self.ranked[rung])
        best = list(islice((trial for trial in ranked if not self.trials[trial].failed), ELITE))
        return set(best if self.aims else best + self.failed[: ELITE - len(best)])

    def _observation(self, number: int, rung: int) -> Observation:
        seen = self.trials[number]
        if seen.failed:
            return Observation(number, seen.values, -math.inf)
        others, excesses = seen.others.get(rung, ()), seen.excesses.get(rung, ())
        return Observation(number, seen.values, seen.scores.get(rung), others, excesses)

    def _score(self, event: Reported) -> None:
        seen, ranked = self.trials[event.trial], self.ranked[event.rung]
        self._stand(seen, -1)
        if event.rung in seen.scores:
            del ranked[bisect_left(ranked, (-seen.scores[event.rung], event.trial))]
        else:
            insort(self.ended[event.rung], event.trial)
        seen.scores[event.rung] = event.score
        insort(ranked, (-event.score, event.trial))
        self._stand(seen, 1)

    def _fail(self, trial: int) -> None:
        seen = self.trials[trial]
        if not seen.failed:
            self._stand(seen, -1)
            seen.failed = True
            insort(self.failed, trial)

    def _stand(self, seen: Seen, count: int) -> None:
        if not seen.failed and seen.scores:
            first = min(seen.scores)
            self.standing.update({(first, rung): count for rung in seen.scores})

    def _weigh(self, event: Reported) -> bool:
        """Take down what else a result is worth; false where some of it is not finite."""
        point, excesses = self.aims.point(event.score, event.metrics), self.aims.excesses(event.metrics)
        if not all(map(math.isfinite, (*point, *excesses))):
            return False
        seen = self.trials[event.trial]
        seen.others[event.rung], seen.excesses[event.rung] = point[1:], excesses
        self.orders.setdefault(event.rung, Order()).add(event.trial, point, violation(excesses))
        return True
