"""When a study must begin nothing more, so that what it may cost covers confirming its winner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Final

from autotune.account import bill
from autotune.events import CONFIRM, SEARCH, Assigned, Event
from autotune.history import History
from autotune.objectives import Aims
from autotune.policy import BASELINES
from autotune.study.confirmation import FIRST
from autotune.study.plan import Budget, Confirm

PACED: Final = 100  # trials whose pace is taken


@dataclass(frozen=True)
class Clock:
    """What a driver knows of time that no log tells.

    Attributes:
        wall_s: Seconds that this driver and those before it have run.
        running_s: Device-seconds that the assignments in flight have taken so far, all together.
        places: Trials that run at once.
        devices: That each of them takes.
    """

    wall_s: float = 0.0
    running_s: float = 0.0
    places: int = 1
    devices: int = 1


def exceeded(
    history: History,
    decided: Iterable[Event],
    budget: Budget,
    confirm: Confirm,
    arms: Sequence[str],
    clock: Clock,
) -> str | None:
    """Why what was decided must not be begun; None where the budget covers it.

    In the search a limit on the whole study is reached when that, finishing what runs, and training every
    candidate with all seeds takes more than is left, at the pace so far, of which idle and booting machines
    are part. In the confirmation only that and what runs are still to come.
    """
    if history.phase not in (SEARCH, CONFIRM):
        return None
    if budget.hours is not None and history.phase == SEARCH and clock.wall_s > budget.hours * 3600:
        return "the hours of the budget are over"
    if not budget.whole:
        return None
    busy = busy_s(history) + clock.running_s
    begun = sum(one.until - one.since for one in decided if isinstance(one, Assigned))
    in_flight = sum(one.until - one.since for one in history.in_flight.values())
    pace = _pace(history)
    ahead = max(0.0, in_flight * pace - clock.running_s) + begun * pace
    if history.phase == SEARCH:
        ahead += confirmation_s(history, confirm, arms)
    for name, limit, spent in _limited(history, budget, clock):
        expected = spent * (1.0 + ahead / busy) if busy else spent
        if name == "wall":  # however many places there are, a training takes its time
            expected = max(expected, spent + _longest_s(history, begun, confirm, arms, clock) / 3600)
        if expected > limit:
            return f"{name}={limit:g} of the budget: {spent:.4g} are spent, and {_REST[history.phase]}"
    return None


_REST = {
    SEARCH: "the rest is kept for what runs and for confirming the winner",
    CONFIRM: "another training would take more than the rest",
}


def _longest_s(history: History, begun: float, confirm: Confirm, arms: Sequence[str], clock: Clock) -> float:
    """Seconds, at least, until what runs, what was decided and both turns of the confirmation are over."""
    training = _pace(history) / clock.devices
    due = [one.until - one.since for one in history.in_flight.values()]
    gone = clock.running_s / clock.devices / len(due) if due else 0.0
    ahead = max([begun * training, *(epochs * training - gone for epochs in due)])
    if history.phase == SEARCH:
        rungs = history.study.get("rungs") or [0.0]
        turns = confirmations(confirm, arms, several=bool(Aims.of(history.study)))
        ahead += sum(ceil(count / clock.places) for count in turns) * float(rungs[-1]) * training
    return max(0.0, ahead)


def confirmation_s(history: History, confirm: Confirm, arms: Sequence[str]) -> float:
    """Device-seconds, at most, of confirming the winner; 0 as long as no trial has told its pace."""
    rungs = history.study.get("rungs") or [0.0]
    trainings = sum(confirmations(confirm, arms, several=bool(Aims.of(history.study))))
    return trainings * float(rungs[-1]) * _pace(history)


def confirmations(confirm: Confirm, arms: Sequence[str], *, several: bool) -> tuple[int, int]:
    """How many trainings a confirmation takes at most: those of all candidates, then those of the best.

    Args:
        confirm: What the plan asks for.
        arms: Data policies of the space.
        several: Whether the study has several objectives or constraints, so that all get every seed.
    """
    baselines = sum(arm in arms for arm in BASELINES) if len(arms) > 1 else 0  # one arm has no rivals
    chosen = confirm.leaders + 2 * baselines
    last = chosen if several else 2 + baselines
    return FIRST * chosen, max(0, confirm.seeds - FIRST) * last


def _limited(history: History, budget: Budget, clock: Clock) -> Iterator[tuple[str, float, float]]:
    """Each limit on the whole study by name, with what of it is spent."""
    if budget.usd is not None:
        owed = bill(history)
        yield "usd", budget.usd, owed.total if owed else 0.0
    if budget.gpu_hours is not None:
        yield "gpu_hours", budget.gpu_hours, (busy_s(history) + clock.running_s) / 3600
    if budget.wall is not None:
        yield "wall", budget.wall, clock.wall_s / 3600


def busy_s(history: History) -> float:
    """Device-seconds of everything that was answered or lost."""
    return sum(seconds for nodes in history.seconds.values() for seconds in nodes.values())


def _pace(history: History) -> float:
    """Device-seconds per epoch-equivalent of a trial's own, of the last at the highest rung that was reached.

    Those are the largest, where what a start costs weighs least.
    """
    reached = (history.trials[number] for number in history.furthest[-PACED:])
    found = [trial.ledger.total.seconds / trial.fidelity for trial in reached if trial.fidelity > 0]
    return median(found) if found else 0.0
