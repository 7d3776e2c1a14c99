"""The results at one rung where more than a score counts (MO-ASHA).

Schmucker et al., "Multi-objective asynchronous successive halving", 2021 (https://arxiv.org/abs/2106.12639).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from autotune.objectives import Aims, Order
from autotune.scheduling.rung import LOOKED, NOTHING, Rung


@dataclass
class FrontRung:
    """All results at one fidelity, ranked by front; asked as a `Rung` is.

    A new result may move any other, so who was promoted from here need not be among the best any more.

    Attributes:
        aims: By which they rank.
        order: Of the results that have a rank.
        waiting: Those that have not been promoted.
        count: All results by which the promoted are counted, failures included: they lost.
    """

    aims: Aims
    order: Order = field(default_factory=Order)
    waiting: set[int] = field(default_factory=set)
    count: int = 0

    def record(
        self,
        score: float,
        trial: int,
        waits: bool = True,
        counts: bool = True,
        metrics: Mapping[str, float] = NOTHING,
    ) -> None:
        """Take in a result; one without a rank counts, and is never promoted."""
        self.count += counts
        ranked = self.order.add(trial, self.aims.point(score, metrics), self.aims.violation(metrics))
        if ranked and waits:
            self.waiting.add(trial)

    def among_best(self, trial: int, score: float, k: int) -> bool:
        """Whether a trial is among the best k."""
        return trial in self.order.first(k)

    def promotable(self, reduction: int) -> Iterator[int]:
        """Trials that wait here and are among the best 1/reduction of all results, best first."""
        best = self.order.first(self.count // reduction) if self.waiting else []
        return islice((trial for trial in best if trial in self.waiting), LOOKED)

    def promoted(self, trial: int) -> None:
        """A trial has left for the next rung."""
        self.waiting.discard(trial)


Ranked: TypeAlias = Rung | FrontRung


def empty_rungs(study: Mapping[str, Any], count: int) -> list[Ranked]:
    """As many rungs without results, which rank as a study's log says at its beginning."""
    aims = Aims.of(study)
    return [FrontRung(aims) if aims else Rung() for _ in range(count)]
