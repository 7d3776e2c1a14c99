"""A study as its readers need it: one fold over the log, and nothing that is not in the log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, final

from autotune.account import WASTED, Bill, bill, fates, phases
from autotune.errors import AutotuneError
from autotune.evaluation.weighing import leaders
from autotune.events import DONE, SEARCH, Event, Reported
from autotune.history import History, Trial
from autotune.ledger import Ledger
from autotune.log import Driven, no_study, read_commits
from autotune.objectives import Aims
from autotune.space import SearchSpace
from autotune.storage.location import Location, Remote, locate


class Point(NamedTuple):
    """A trial's result at a rung; `spent` is what the phase had cost by then, in reference epochs."""

    trial: int
    rung: int
    fidelity: float
    score: float
    spent: float


@final
@dataclass
class StudyView:
    """What the words, the page and the command line show of a study.

    Attributes:
        history: Every trial and decision.
        points: Results of the search in the order in which they were committed.
        wall_s: Seconds that drivers have run, without the pauses between them; 0 when made from events alone.
        written_s: When the log was last written to, in seconds since 1970; None when made from events alone.
        path: The study's folder; None when it was made from events alone.
    """

    history: History = field(default_factory=History)
    points: list[Point] = field(default_factory=list)
    wall_s: float = 0.0
    written_s: float | None = None
    path: Location | None = None

    @classmethod
    def load(cls, path: str | Path | Remote) -> StudyView:
        """Read a study's folder, finished or not, without owning it.

        Raises:
            FolderError: When there is no study, or one of a newer format.
            LogError: When its log is damaged.
        """
        view, driven, place = cls(), Driven(), locate(path)
        for commit in read_commits(place / "log"):
            driven.add(commit)
            view.written_s = commit.time_s
            for event in commit.events:
                view.apply(event)
        if not view.history.study:
            raise no_study(place)
        view.path, view.wall_s = place, driven.seconds
        return view

    @classmethod
    def of(cls, events: Iterable[Event]) -> StudyView:
        """Fold events, in order."""
        view = cls()
        for event in events:
            view.apply(event)
        return view

    def apply(self, event: Event) -> None:
        """Take in one more event."""
        phase = self.history.phase
        self.history.apply(event)
        if isinstance(event, Reported) and phase == SEARCH:
            spent = self.epochs(self.phases[SEARCH])
            self.points.append(Point(event.trial, event.rung, event.fidelity, event.score, spent))

    # what the study is

    @property
    def name(self) -> str:
        """What the study is called."""
        return str(self.history.study.get("name") or "study")

    @property
    def done(self) -> bool:
        """Whether it has concluded."""
        return self.history.phase == DONE

    @property
    def metric(self) -> str:
        """The name of what is optimised."""
        return str(_named(self.history.study, "metric") or "score")

    @property
    def sign(self) -> int:
        """-1 where the metric is minimised (scores in the log are higher-is-better), else 1."""
        return -1 if _named(self.history.study, "mode") == "min" else 1

    @property
    def aims(self) -> Aims:
        """What it wanted besides the metric."""
        return Aims.of(self.history.study)

    @property
    def rungs(self) -> tuple[float, ...]:
        """Fidelities at which trials were compared, ascending."""
        return tuple(float(rung) for rung in self.history.study.get("rungs", ()))

    @cached_property
    def space(self) -> SearchSpace | None:
        """What was searched; None where this version cannot read it."""
        try:
            return SearchSpace.from_yaml(str(self.history.study.get("space", "")), "space")
        except AutotuneError:
            return None

    @property
    def arms(self) -> tuple[str, ...]:
        """The policies that the space offers, or where it is not known, those that were tried."""
        named = self.space.options("policy") if self.space is not None else ()
        return named or tuple(sorted({trial.arm for trial in self.search}))

    # what happened

    @property
    def search(self) -> list[Trial]:
        """The trials of the search."""
        return self.history.of_phase(SEARCH)

    @property
    def verdict(self) -> Mapping[str, Any]:
        """The winner's comparison with its baselines; empty until the study is done."""
        return self.history.concluded.verdict if self.history.concluded else {}

    @property
    def front(self) -> Sequence[Mapping[str, Any]]:
        """The confirmed configurations that no other one is better than in all that was wanted."""
        found: Sequence[Mapping[str, Any]] = self.verdict.get("front", ())
        return found

    def leaders(self) -> list[Trial]:
        """Search trials that may win, best first, as a confirmation takes them."""
        return leaders(self.search, self.aims)

    def best(self) -> list[Point]:
        """The results that were better than all before them, at whatever rung."""
        found: list[Point] = []
        for point in self.points:
            if math.isfinite(point.score) and (not found or point.score > found[-1].score):
                found.append(point)
        return found

    # what it cost

    @property
    def phases(self) -> dict[str, Ledger]:
        """Everything spent in each phase, what was lost included."""
        return phases(self.history)

    @property
    def total(self) -> Ledger:
        """All phases together."""
        return sum(self.phases.values(), Ledger())

    @property
    def bill(self) -> Bill | None:
        """What the seconds cost; None without prices."""
        return bill(self.history)

    def cost(self, ledger: Ledger) -> float | None:
        """What a ledger's device-seconds cost, at the mean price of such a second; None without prices."""
        if (owed := self.bill) is None:
            return None
        return owed.per_second(self.total.total.seconds) * ledger.total.seconds

    def epochs(self, ledger: Ledger) -> float:
        """A ledger in reference epoch-equivalents."""
        return ledger.epochs(float(self.history.study.get("reference_flops") or 1.0))

    def wasted(self) -> float:
        """Share of the search's compute that went into trials that were stopped, failed or lost."""
        spent = {fate: self.epochs(ledger) for fate, ledger in fates(self.history).items()}
        total = sum(spent.values())
        return sum(spent.get(fate, 0.0) for fate in WASTED) / total if total else 0.0


def limits(study: Mapping[str, Any]) -> dict[str, float]:
    """The limits on the search, and on the whole study, in a study's identity, by name."""
    budget = study.get("plan", {}).get("budget", {})
    return {name: limit for name, limit in budget.items() if name != "kind" and limit is not None}


def _named(study: Mapping[str, Any], key: str) -> Any:
    """A field of a study's identity, at the top or in one of its parts."""
    parts = [study, *(part for part in study.values() if isinstance(part, Mapping))]
    return next((part[key] for part in parts if key in part), None)
