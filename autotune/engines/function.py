"""The simplest work there is: a plain function that scores a configuration at a fidelity."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from autotune.errors import HungError
from autotune.events import Config, Failed, Outcome, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.work import Assignment, Beat, Worker, Workload

Scored: TypeAlias = float | Mapping[str, float] | None
Function: TypeAlias = Callable[[Config, float, int], Scored]  # (config, fidelity, seed) -> score


@final
@dataclass(frozen=True)
class FunctionWorkload(Workload):
    """Scores trials with a function of (config, fidelity, seed); higher is better.

    Attributes:
        function: Called once per assignment. NaN means diverged, None means that it gave no score, and what
            it raises ends its trial. It may give metrics by name instead, `score` among them.
        reference_flops: FLOPs of one epoch-equivalent; a trial is charged `until - since` of them.
        arrays: Large read-only arrays, shared by all workers of a node; see `bulk`.
    """

    function: Function
    reference_flops: float = 1.0
    arrays: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def bulk(self) -> Mapping[str, Any]:
        """The arrays, which do not travel with the workload."""
        return self.arrays

    def worker(self, bulk: Any) -> Worker:
        """A worker that calls the function in its own process."""
        return FunctionWorker(self)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the arrays: they travel once per node."""
        return {**self.__dict__, "arrays": {}}


@final
class FunctionWorker(Worker):
    """Advances a trial by calling the function once."""

    def __init__(self, workload: FunctionWorkload) -> None:
        self._workload = workload

    def advance(self, assignment: Assignment, beat: Beat) -> Outcome:
        """The score of the assignment's configuration at the fidelity to reach."""
        began = time.perf_counter()
        beat()
        metrics: dict[str, float] = {}
        try:
            given = self._workload.function(assignment.config, assignment.until, assignment.seed)
            score = given.get("score") if isinstance(given, Mapping) else given
            kind, message = _fault(score)
            if isinstance(given, Mapping):
                metrics = {name: float(value) for name, value in given.items()}
        except MemoryError as error:
            score, kind, message = None, "memory", f"{type(error).__name__}: {error}"
        except HungError as error:
            score, kind, message = None, "hung", str(error)
        except Exception as error:
            score, kind, message = None, "error", f"{type(error).__name__}: {error}"
        beat()
        ledger = self._ledger(assignment, time.perf_counter() - began)
        a = assignment
        if score is None or kind:
            return Failed(a.id, a.trial, a.rung, kind, message, ledger)
        value = float(score)
        return Reported(a.id, a.trial, a.rung, a.until, value, metrics or {"score": value}, ledger)

    def _ledger(self, assignment: Assignment, seconds: float) -> Ledger:
        epochs = 0.0 if assignment.test else assignment.until - assignment.since
        return Ledger({Label.TRAIN: Charge(epochs * self._workload.reference_flops, seconds)})


def _fault(score: float | None) -> tuple[str, str]:
    """The kind and text of what is wrong with a score; two empty strings when nothing is."""
    if score is None:
        return "metric", "the function returned no score; return one, higher is better"
    try:
        value = float(score)
    except (TypeError, ValueError):
        return "metric", f"the function returned {type(score).__name__} {score!r}; return a number"
    if math.isnan(value):
        return "diverged", "the function returned NaN"
    return "", ""
