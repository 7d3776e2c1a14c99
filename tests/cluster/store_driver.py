"""A study on Ray at an object store that loses two workers: `python store_driver.py ADDRESS FOLDER`.

Prints JSON: what the same study decided in this process, what it decided there, and what became of trials.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from torch import nn

from autotune.cluster.engine import RayEngine
from autotune.data.digits import digits
from autotune.engines.inprocess import InProcess
from autotune.events import Assigned, Concluded, Failed, Interrupted, Proposed
from autotune.log import read_events
from autotune.scheduling.asha import ASHA
from autotune.searching.random import RandomSearch
from autotune.space import Float, SearchSpace
from autotune.storage.location import locate
from autotune.study import Budget, Confirm, Plan, Study
from autotune.task import Classification
from autotune.training.rules import TrialRules

SPACE = SearchSpace({"lr": Float(0.01, 0.3, log=True), "batch_size": 32})
PLAN = Plan(
    Budget(trials=3),
    ASHA(horizon=2.0, lowest=1.0, reduction=2),
    RandomSearch(),
    Confirm(leaders=1, seeds=2),
    ordered_workers=2,
)


class Slow(nn.Module):
    """Takes its time in every step."""

    def __init__(self, pause_s):
        super().__init__()
        self.head, self.pause_s = nn.Linear(64, 10), pause_s

    def forward(self, inputs):
        time.sleep(self.pause_s)
        return self.head(inputs.flatten(1))


def events(place, engine, pause_s=0.0):
    task = Classification(digits(), lambda config: Slow(pause_s))
    Study(task, SPACE, place, PLAN, engine, TrialRules(2.0, checkpoint_share=0.05)).run()
    return list(read_events(locate(place) / "log"))


def decided(found):
    return [repr(event) for event in found if isinstance(event, Proposed | Assigned | Concluded)]


class Killer(threading.Thread):
    """Kills processes of trials that have run for a while, so many."""

    def __init__(self, kills, after_s):
        super().__init__(daemon=True)
        self.left, self._after_s, self._seen = kills, after_s, {}

    def run(self):
        while self.left:
            time.sleep(0.1)
            for process in training():
                since = self._seen.setdefault(process, time.monotonic())
                if time.monotonic() - since > self._after_s:
                    os.kill(process, signal.SIGKILL)
                    self.left -= 1
                    break


def training():
    """Processes below this one in which trials are."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if "Trainable" in (folder / "cmdline").read_text() and os.getpid() in above(folder):
                yield int(folder.name)


def above(folder):
    while (parent := int((folder / "stat").read_text().rpartition(")")[2].split()[1])) > 1:
        yield parent
        folder = Path(f"/proc/{parent}")


def main(address, folder):
    calm = events(Path(folder) / "calm", InProcess())
    killer = Killer(kills=2, after_s=6.0)
    killer.start()
    found = events(address, RayEngine(workers=2), pause_s=0.05)
    told = [asdict(event)["reason"] for event in found if isinstance(event, Interrupted)]
    failed = [event.message for event in found if isinstance(event, Failed)]
    print(json.dumps({"calm": decided(calm), "found": decided(found), "interrupted": told,
                      "failed": failed, "not_killed": killer.left}))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
