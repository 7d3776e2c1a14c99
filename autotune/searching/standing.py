"""Where the trials of a search have come, and which of them stand out there."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from autotune.events import SEARCH, Config, Event, Failed, Opened, Proposed, Reported
from autotune.objectives import Aims, Order

Place = tuple[int, float]  # a rung and the score there: the greater, the better
NOWHERE: Place = (-1, -math.inf)


@dataclass
class Standing:
    """An incremental fold over the log; trials of other phases never enter.

    Attributes:
        configs: By trial.
        reached: The highest rung of each trial that has answered and its score there, minus infinity after a
            failure.
        rankings: All finite scores by rung, ascending.
        groups: By trial, whom it is counted with.
        members: By group and by the highest rung reached, the scores there, ascending.
        best: Where the leader has come.
        leader: Its number; None before anybody has a finite score.
        aims: Of the study besides its score. With them, who is less past the constraints leads, whatever the
            rung, and trials stand out by their `Order`.
        past: How far the leader is past the constraints.
        excesses: The same of each trial that has a finite score.
        orders: By rung, where there are aims.
    """

    configs: dict[int, Config] = field(default_factory=dict)
    reached: dict[int, Place] = field(default_factory=dict)
    rankings: dict[int, list[float]] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    members: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    best: Place = NOWHERE
    leader: int | None = None
    aims: Aims = field(default_factory=Aims)
    past: float = math.inf
    excesses: dict[int, float] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)

    def apply(self, event: Event, group: str = "") -> None:
        """Take in one more event; a trial that is proposed in it belongs to `group`."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                self.configs[event.trial] = event.config
                self.groups[event.trial] = group
            case Reported() if event.trial in self.configs and math.isfinite(event.score):
                place = (event.rung, event.score)
                self._move(event.trial, place)
                insort(self.rankings.setdefault(event.rung, []), event.score)
                self.excesses[event.trial] = past = self.aims.violation(event.metrics)
                if event.trial == self.leader:  # it may be past a constraint now
                    self._follow()
                elif (-past, *place) > (-self.past, *self.best):
                    self.best, self.leader, self.past = place, event.trial, past
                if self.aims:
                    order = self.orders.setdefault(event.rung, Order())
                    order.add(event.trial, self.aims.point(event.score, event.metrics), past)
            case Reported() | Failed() if event.trial in self.configs:
                self._move(event.trial, (event.rung, -math.inf))
                if event.trial == self.leader:
                    self._follow()
            case Opened():
                self.aims = Aims.of(event.study)

    def answered(self, group: str) -> int:
        """How many trials of a group have answered."""
        return sum(map(len, self.members.get(group, {}).values()))

    def outstanding(self, group: str, reduction: int) -> int:
        """How many of them are among the best 1/reduction at the rung that they have reached."""
        if self.aims:
            counts = {rung: max(1, len(scores) // reduction) for rung, scores in self.rankings.items()}
            best = {rung: set(order.first(counts[rung])) for rung, order in self.orders.items()}
            places = ((one, place[0]) for one, place in self.reached.items() if self.groups[one] == group)
            return sum(trial in best.get(rung, ()) for trial, rung in places)
        found = 0
        for rung, scores in self.members.get(group, {}).items():
            if ranking := self.rankings.get(rung):
                least = ranking[-max(1, len(ranking) // reduction)]
                found += len(scores) - bisect_left(scores, least)
        return found

    def _follow(self) -> None:
        """The leader has moved or failed: settings that work are those of the best who has not."""
        able = [trial for trial, place in self.reached.items() if math.isfinite(place[1])]
        places = {trial: (-self.excesses[trial], *self.reached[trial], -trial) for trial in able}
        self.leader = max(able, key=places.__getitem__, default=None)
        self.best = NOWHERE if self.leader is None else self.reached[self.leader]
        self.past = math.inf if self.leader is None else self.excesses[self.leader]

    def _move(self, trial: int, place: Place) -> None:
        group = self.members.setdefault(self.groups[trial], {})
        if (before := self.reached.get(trial)) is not None:
            left = group[before[0]]
            del left[bisect_left(left, before[1])]
        insort(group.setdefault(place[0], []), place[1])
        self.reached[trial] = place
