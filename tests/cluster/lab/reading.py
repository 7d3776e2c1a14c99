"""What became of a study, from its log and from the notes of its quanta."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, final

from autotune.engines.inprocess import InProcess
from autotune.events import Failed, Interrupted, to_json
from autotune.log import read_commits, read_events
from autotune.study import Result
from autotune.study.director import DECISIONS, Director, replay

from .driver import SPACE, Setup
from .work import NOTES


@final
@dataclass(frozen=True)
class Note:
    """A quantum was begun or saved; see `work.note`."""

    t: float
    what: str
    trial: int
    assignment: int
    quantum: int
    host: str
    pid: int


@final
@dataclass(frozen=True)
class Fault:
    """Something was taken away.

    Attributes:
        kind: `node`, `power`, `driver`, `worker`, ...
        at: When, in seconds since 1970.
        trials: In the middle of a quantum there and then, each with the process that it was in.
        host: What was taken; None where it was the driver or the head.
    """

    kind: str
    at: float
    trials: dict[int, tuple[str, int]]
    host: str | None = None

    def takes(self, note: Note) -> bool:
        """Whether the process that wrote a note may be gone with it."""
        if self.kind == "worker":
            return (note.host, note.pid) in self.trials.values()
        return self.host in (None, note.host)


@final
class Notes:
    """The notes of a study; each look reads on where the last one ended.

    Args:
        folder: Of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._read = folder / NOTES, 0
        self._found: list[Note] = []

    def look(self) -> Sequence[Note]:
        """All so far, in the order in which they were written."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._read += len(whole) + 1
                self._found += [Note(**json.loads(line)) for line in whole.splitlines()]
        return self._found


def stepping(found: Iterable[Note]) -> dict[int, Note]:
    """The trials that are in the middle of a quantum, by the last note of each."""
    last = {note.trial: note for note in found}
    return {trial: note for trial, note in last.items() if note.what == "begun"}


def recoveries(found: Sequence[Note], fault: Fault) -> dict[int, float]:
    """Seconds until each trial stepped again in another process; those that have not yet are left out."""
    seconds: dict[int, float] = {}
    for note in found:
        lost = fault.trials.get(note.trial)
        if note.t > fault.at and lost is not None and lost != (note.host, note.pid):
            seconds.setdefault(note.trial, note.t - fault.at)
    return seconds


def saved_twice(found: Iterable[Note]) -> int:
    """Quanta that were done again although they were saved."""
    return _again(found, "saved")


def begun_again(found: Iterable[Note]) -> int:
    """Starts of quanta that some other start was there for."""
    return _again(found, "begun")


def excess(found: Iterable[Note], faults: Sequence[Fault]) -> int:
    """Quanta that were begun again for no fault, or beyond one of a trial for each fault that took it.

    A trial that was between two quanta, or whose process outlived its driver for a moment, is taken as well.
    """
    last: dict[tuple[int, int], Note] = {}
    allowed: set[tuple[int, int]] = set()
    beyond = 0
    for note in (note for note in found if note.what == "begun"):
        before = last.get((note.trial, note.quantum))
        last[note.trial, note.quantum] = note
        if before is None:
            continue
        taking = [at for at, fault in enumerate(faults) if fault.at < note.t and fault.takes(before)]
        if not taking or (taking[-1], note.trial) in allowed:
            beyond += 1
        else:
            allowed.add((taking[-1], note.trial))
    return beyond


def busy_s(found: Iterable[Note]) -> float:
    """Seconds of all slots that went into quanta which were saved."""
    begun: dict[tuple[int, int], float] = {}
    total = 0.0
    for note in found:
        quantum = (note.trial, note.quantum)
        if note.what == "begun":
            begun[quantum] = note.t
        else:
            total += note.t - begun[quantum]
    return total


def _again(found: Iterable[Note], what: str) -> int:
    counts = Counter((note.trial, note.quantum) for note in found if note.what == what)
    return sum(count - 1 for count in counts.values())


def figures(setup: Setup, folder: Path, faults: Sequence[Fault]) -> dict[str, Any]:
    """What the matrix asks of a study that has ended.

    Raises:
        LogError: When a replay would decide anything else than what is recorded.
    """
    found, log = Notes(folder).look(), folder / "study" / "log"
    director = Director(setup.plan(), SPACE, arms=("full",), test=False)
    checked = replay(director, read_events(log))
    history = director.history
    events = list(read_events(log))
    failed = [event for event in events if isinstance(event, Failed)]
    hit = sum(len(fault.trials) for fault in faults)
    result = {
        "faults": len(faults),
        "trials": len(history.trials),
        "trials_lost": len(history.in_flight) + len(failed),
        "failures": [f"{event.kind}: {event.message}" for event in failed],
        "interruptions": sum(isinstance(event, Interrupted) for event in events),
        "told_s": told_s(log, faults),
        "quanta": sum(note.what == "saved" for note in found),
        "trials_hit": hit,
        "saved_quanta_repeated": saved_twice(found),
        "quanta_begun_again": begun_again(found),
        "excess_quanta": excess(found, faults),
        "decisions_replayed": checked,
        "winner": Result.load(folder / "study").best_config,
    }
    if setup.ordered:
        calm = replace(setup, quantum_s=0.0).study(folder / "calm", InProcess()).run()
        result["different_decisions"] = differing(decisions(calm.path / "log"), decisions(log))
        result["same_winner"] = calm.best_config == result["winner"]
    return result


def told_s(log: Path, faults: Sequence[Fault]) -> list[float]:
    """Seconds from each fault to the first interruption that the study was told of."""
    told = [
        commit.time_s
        for commit in read_commits(log)
        if any(isinstance(event, Interrupted) for event in commit.events)
    ]
    first = [(fault, next((time_s for time_s in told if time_s > fault.at), None)) for fault in faults]
    return [round(time_s - fault.at, 1) for fault, time_s in first if time_s is not None]


def differing(one: Sequence[Any], other: Sequence[Any]) -> int:
    """At how many positions two lists differ."""
    return sum(a != b for a, b in zip_longest(one, other))


def quantile(seconds: Sequence[float], share: float) -> float:
    """The smallest that at least this share of them do not exceed; 0 of none."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def decisions(log: Path) -> list[dict[str, Any]]:
    """Everything that was decided, in order."""
    return [to_json(event) for event in read_events(log) if isinstance(event, DECISIONS)]
