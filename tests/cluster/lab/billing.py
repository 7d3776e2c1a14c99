"""What the cloud's machines were paid for: trials, or waiting for them, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from .cloud import Machine
from .reading import Note, busy_s


def idle_s(machines: Iterable[Machine], found: Sequence[Note], boot_s: float) -> dict[str, float]:
    """Seconds of all machines without a trial, their boot left out.

    Returns:
        `start`: until the first quantum of each; `gaps`: between two; `end`: after the last, until
        it was given back; `unused`: of machines that never had a trial.
    """
    idle = dict.fromkeys(("start", "gaps", "end", "unused"), 0.0)
    for machine in machines:
        assert machine.ended_at is not None
        ready = min(machine.asked_at + boot_s, machine.ended_at)
        mine = [note for note in found if note.host == machine.id]
        if not mine:
            idle["unused"] += machine.ended_at - ready
            continue
        first, last = mine[0].t, mine[-1].t
        idle["start"] += first - ready
        idle["gaps"] += last - first - busy_s(mine)
        idle["end"] += machine.ended_at - last
    return idle


def paid_s(
    machines: Iterable[Machine],
    since: float,
    until: float,
    begun: Callable[[Machine], float | None] = attrgetter("listed_at"),
) -> float:
    """Seconds of all machines between two moments, each from when the cloud said that it is there."""
    ends = [(begun(m), min(m.ended_at or until, until)) for m in machines]
    return sum(max(0.0, end - max(begin, since)) for begin, end in ends if begin is not None)


def wasted_s(found: Iterable[Note], quantum_s: float) -> float:
    """Seconds at most that went into quanta which were begun again, whole ones included."""
    begun: dict[tuple[int, int], float] = {}
    lost = 0.0
    for note in found:
        quantum = (note.trial, note.quantum)
        if note.what == "begun":
            lost += min(quantum_s, note.t - begun.get(quantum, note.t))
            begun[quantum] = note.t
    return lost
