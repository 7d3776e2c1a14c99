"""Work that takes its time, saves every quantum of it, and leaves a note of each in a shared file."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from autotune.events import Interrupted, Outcome, Reported
from autotune.folders import replacing
from autotune.ledger import Charge, Label, Ledger
from autotune.work import Assignment, Beat, Remains, Worker, Workload

NOTES = "quanta.jsonl"
HURRY = "hurry"  # once there is a file of this name, quanta take no time


@final
@dataclass(frozen=True)
class Paced(Workload):
    """A deterministic trial: its score is a function of configuration, seed and fidelity.

    Attributes:
        folder: Shared by all hosts.
        quantum: Epoch-equivalents between two checkpoints.
        quantum_s: What they take.
    """

    folder: Path
    quantum: float
    quantum_s: float

    @property
    def bulk(self) -> dict[str, Any]:
        """Nothing: it needs no data."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Its speed is not part of what it is."""
        return {"workload": "Paced", "quantum": self.quantum}

    def remains(self, assignment: Assignment) -> Remains:
        """What is saved of a trial."""
        saved = self.folder / f"trial-{assignment.trial:06d}.json"
        done = int(json.loads(saved.read_text())) if saved.exists() else 0
        flops = max(0.0, done * self.quantum - assignment.since)
        return Remains(Ledger({Label.TRAIN: Charge(flops, 0.0)})) if flops else Remains()

    def worker(self, bulk: Any) -> Worker:
        """A worker; all of its state is in the shared folder."""
        return PacedWorker(self)


@final
class PacedWorker(Worker):
    """Goes on from the newest quantum that is saved."""

    def __init__(self, work: Paced) -> None:
        self._work = work

    def advance(self, assignment: Assignment, beat: Beat) -> Outcome:
        """Sleep through the quanta that are missing, saving each before it is noted as done."""
        began, a, work = time.perf_counter(), assignment, self._work
        saved = work.folder / f"trial-{a.trial:06d}.json"
        done = int(json.loads(saved.read_text())) if saved.exists() else 0
        for quantum in range(done, round(a.until / work.quantum)):
            note(work.folder, "begun", a, quantum)
            time.sleep(0.0 if (work.folder / HURRY).exists() else work.quantum_s)
            with replacing(saved, "choose another folder") as half:
                half.write_text(json.dumps(quantum + 1))
            note(work.folder, "saved", a, quantum)
            if beat():
                return Interrupted(a.id, a.trial, "its machine is about to go", node=self.node)
        spent = Charge(0.0 if a.test else a.until - a.since, time.perf_counter() - began)
        ledger = Ledger({Label.TRAIN: spent})
        return Reported(a.id, a.trial, a.rung, a.until, score(a), {}, ledger, node=self.node)


def note(folder: Path, what: str, assignment: Assignment, quantum: int) -> None:
    """One line, which the file system appends whole."""
    facts = {
        "t": time.time(),
        "what": what,
        "trial": assignment.trial,
        "assignment": assignment.id,
        "quantum": quantum,
        "host": platform.node(),
        "pid": os.getpid(),
    }
    with (folder / NOTES).open("ab", buffering=0) as file:
        file.write((json.dumps(facts) + "\n").encode())


def score(assignment: Assignment) -> float:
    """Higher is better; seeds matter little, fidelity more, the configuration most."""
    x, y = float(assignment.config["x"]), float(assignment.config["y"])
    noise = (assignment.seed % 1009) * 1e-6
    return 1.0 - (x - 0.7) ** 2 - 0.1 * (y - 0.3) ** 2 - 0.1 / (1.0 + assignment.until) + noise
