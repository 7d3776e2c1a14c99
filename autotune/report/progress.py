"""Where a study stands, as plain values: what the console and `autotune status` show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotune.account import Bill, bill, phases
from autotune.evaluation.weighing import leaders
from autotune.events import CONFIRM, SEARCH
from autotune.history import History, Status, Trial
from autotune.ledger import Ledger
from autotune.objectives import Aims
from autotune.report.view import limits


@dataclass(frozen=True)
class Progress:
    """A snapshot of a study.

    Attributes:
        states: How many search trials there are of each state.
        rungs: Fidelity of each rung, and how many search trials have a result there.
        best: The search trial that leads, if any has a finite score.
        metric: What is optimised; `sign` is -1 where it is minimised.
        spent: Reference epoch-equivalents by phase, those lost to interruptions and what all trials share
            included.
        counted: Those of the search that its budget counts.
        share: How much of the search's budget is used, in [0, 1]; None where no limit can tell.
        confirmed: Confirmation trials that have ended, and how many were started.
        in_flight: Assignments being worked on.
        seconds: Device-seconds, those lost to interruptions included.
        bill: What they cost; None without prices.
    """

    name: str
    phase: str
    reason: str
    states: Mapping[str, int]
    rungs: tuple[tuple[float, int], ...]
    best: Trial | None
    metric: str
    sign: int
    spent: Mapping[str, float]
    counted: float
    budget: Mapping[str, float]
    share: float | None
    confirmed: tuple[int, int]
    in_flight: int
    seconds: float
    bill: Bill | None

    @property
    def epochs(self) -> float:
        """Everything spent, in reference epoch-equivalents."""
        return sum(self.spent.values())

    def to_json(self) -> dict[str, Any]:
        """The snapshot as plain data."""
        best = None
        if self.best is not None:
            best = {
                "trial": self.best.number,
                "policy": self.best.arm,
                "rung": self.best.rung,
                self.metric: self.sign * self.best.score,
                "config": dict(self.best.config),
            }
        return {
            "study": self.name,
            "phase": self.phase,
            "trials": dict(self.states),
            "rungs": [{"fidelity": fidelity, "results": count} for fidelity, count in self.rungs],
            "best": best,
            "epochs": dict(self.spent),
            "counted": self.counted,
            "budget": dict(self.budget),
            "share": self.share,
            "confirmed": {"ended": self.confirmed[0], "started": self.confirmed[1]},
            "in_flight": self.in_flight,
            "device_seconds": self.seconds,
            "bill": None if self.bill is None else self.bill.to_json(),
        }


def progress(history: History, metric: str, sign: int, hours: float | None = None) -> Progress:
    """Where a study stands; `hours` is how long its drivers have run together, where that is known."""
    study = history.study
    search = history.of_phase(SEARCH)
    confirm = history.of_phase(CONFIRM)
    flops = float(study.get("reference_flops") or 1.0)
    ledgers = phases(history)
    spent = {phase: ledger.epochs(flops) for phase, ledger in ledgers.items()}
    counted = history.spent.get(SEARCH, Ledger()).own.epochs(flops)
    budget = limits(study)
    best = next(iter(leaders(search, Aims.of(study))), None)
    rungs = [float(rung) for rung in study.get("rungs", ())]
    return Progress(
        name=str(study.get("name") or "study"),
        phase=history.phase,
        reason=history.reasons.get(history.phase, ""),
        states=history.states(),
        rungs=tuple((rung, sum(k in trial.scores for trial in search)) for k, rung in enumerate(rungs)),
        best=best,
        metric=metric,
        sign=sign,
        spent=spent,
        counted=counted,
        budget=budget,
        share=_share(budget, counted, len(search), hours),
        confirmed=(sum(trial.status is not Status.RUNNING for trial in confirm), len(confirm)),
        in_flight=len(history.in_flight),
        seconds=sum(ledger.total.seconds for ledger in ledgers.values()),
        bill=bill(history),
    )


def _share(budget: Mapping[str, float], epochs: float, trials: int, hours: float | None) -> float | None:
    used = {"epochs": epochs, "trials": trials} | ({} if hours is None else {"hours": hours})
    shares = [used[name] / limit for name, limit in budget.items() if limit and name in used]
    return min(1.0, max(shares)) if shares else None
