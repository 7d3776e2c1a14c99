"""Where the trials of a search have come, and which of them stand out there."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from autotune.events import SEARCH, Config, Event, Failed, Proposed, Reported

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
    """

    configs: dict[int, Config] = field(default_factory=dict)
    reached: dict[int, Place] = field(default_factory=dict)
    rankings: dict[int, list[float]] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    members: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    best: Place = NOWHERE
    leader: int | None = None

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
                if place > self.best:
                    self.best, self.leader = place, event.trial
            case Reported() | Failed() if event.trial in self.configs:
                self._move(event.trial, (event.rung, -math.inf))

    def answered(self, group: str) -> int:
        """How many trials of a group have answered."""
        return sum(map(len, self.members.get(group, {}).values()))

    def outstanding(self, group: str, reduction: int) -> int:
        """How many of them are among the best 1/reduction at the rung that they have reached."""
        found = 0
        for rung, scores in self.members.get(group, {}).items():
            if ranking := self.rankings.get(rung):
                least = ranking[-max(1, len(ranking) // reduction)]
                found += len(scores) - bisect_left(scores, least)
        return found

    def _move(self, trial: int, place: Place) -> None:
        group = self.members.setdefault(self.groups[trial], {})
        if (before := self.reached.get(trial)) is not None:
            left = group[before[0]]
            del left[bisect_left(left, before[1])]
        insort(group.setdefault(place[0], []), place[1])
        self.reached[trial] = place
