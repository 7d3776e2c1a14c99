"""Where the trials of a search have come, and which of them stand out there."""

from __future__ import annotations

import math
from bisect import insort
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
        best: Where the leader has come.
        leader: Its number; None before anybody has a finite score.
    """

    configs: dict[int, Config] = field(default_factory=dict)
    reached: dict[int, Place] = field(default_factory=dict)
    rankings: dict[int, list[float]] = field(default_factory=dict)
    best: Place = NOWHERE
    leader: int | None = None

    def apply(self, event: Event) -> None:
        """Take in one more event."""
        match event:
            case Proposed(phase=phase) if phase == SEARCH:
                self.configs[event.trial] = event.config
            case Reported() if event.trial in self.configs and math.isfinite(event.score):
                place = (event.rung, event.score)
                self.reached[event.trial] = place
                insort(self.rankings.setdefault(event.rung, []), event.score)
                if place > self.best:
                    self.best, self.leader = place, event.trial
            case Reported() | Failed() if event.trial in self.configs:
                self.reached[event.trial] = (event.rung, -math.inf)

    def stands_out(self, trial: int, reduction: int) -> bool:
        """Whether a trial that has answered is among the best 1/reduction at the rung that it has reached."""
        rung, score = self.reached[trial]
        ranking = self.rankings.get(rung, [])
        return bool(ranking) and score >= ranking[-max(1, len(ranking) // reduction)]
