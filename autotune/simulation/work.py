"""Trials that look their scores up."""

from __future__ import annotations

import math
from typing import final

from autotune.events import Failed, Outcome, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.simulation.curves import Curves
from autotune.work import Assignment, Beat, Worker, Workload


@final
class CurveWorkload(Workload):
    """Assignments answered from curves; the seconds in their ledgers are those that training would take.

    Args:
        curves: What to look up. One unit of `Curves.cost` is one reference epoch-equivalent.
    """

    def __init__(self, curves: Curves) -> None:
        self._curves = curves

    @property
    def bulk(self) -> dict[str, object]:
        """Nothing."""
        return {}

    def worker(self, bulk: object) -> Worker:
        """A worker that looks up."""
        return _CurveWorker(self._curves)


@final
class _CurveWorker(Worker):
    def __init__(self, curves: Curves) -> None:
        self._curves = curves

    def advance(self, assignment: Assignment, beat: Beat) -> Outcome:
        a = assignment
        spent = Charge(
            self._curves.cost(a.config, a.since, a.until), self._curves.seconds(a.config, a.since, a.until)
        )
        ledger = Ledger({Label.TRAIN: spent})
        score = self._curves.score(a.config, a.until)
        if math.isnan(score):
            return Failed(a.id, a.trial, a.rung, *self._curves.failure(a.config), ledger)
        metrics = {"score": score, **self._curves.metrics(a.config, a.until)}
        return Reported(a.id, a.trial, a.rung, a.until, score, metrics, ledger)
