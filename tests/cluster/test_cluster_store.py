"""Trials on Ray that save to an object store go on from there in another process, with the same decisions."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
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
from tests.storage.fake_s3 import FakeS3

pytestmark = pytest.mark.ray

SPACE = SearchSpace({"lr": Float(0.01, 0.3, log=True), "batch_size": 32})
PLAN = Plan(
    Budget(trials=3),
    ASHA(horizon=2.0, lowest=1.0, reduction=2),
    RandomSearch(),
    Confirm(leaders=1, seeds=2),
    ordered_workers=2,
)


def task(pause_s):
    """Its model travels by value: Ray's workers cannot import test modules."""

    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(64, 10)

        def forward(self, inputs):
            time.sleep(pause_s)
            return self.head(inputs.flatten(1))

    return Classification(digits(), lambda config: Slow())


def events(place, engine, pause_s=0.0):
    rules = TrialRules(2.0, checkpoint_share=0.05)
    Study(task(pause_s), SPACE, place, PLAN, engine, rules).run()
    return list(read_events(locate(place) / "log"))


def decided(found):
    return [event for event in found if isinstance(event, Proposed | Assigned | Concluded)]


class Killer(threading.Thread):
    """Kills processes of trials that have run for a while, so many."""

    def __init__(self, kills, after_s):
        super().__init__(daemon=True)
        self.left, self._after_s, self._seen = kills, after_s, {}

    def run(self):
        while self.left:
            time.sleep(0.1)
            for pid in training():
                since = self._seen.setdefault(pid, time.monotonic())
                if time.monotonic() - since > self._after_s:
                    os.kill(pid, signal.SIGKILL)
                    self.left -= 1
                    break


def training():
    """Processes below this one in which trials are."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if "Trainable" in (folder / "cmdline").read_text() and os.getpid() in _above(folder):
                yield int(folder.name)


def _above(folder):
    while (parent := int((folder / "stat").read_text().rpartition(")")[2].split()[1])) > 1:
        yield parent
        folder = Path(f"/proc/{parent}")


def test_killed_workers_cost_what_they_had_not_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    calm = events(tmp_path / "calm", InProcess())
    killer = Killer(kills=2, after_s=6.0)
    with FakeS3() as server:
        killer.start()
        found = events(server.address("study"), RayEngine(workers=2), pause_s=0.05)
    assert killer.left == 0
    assert sum(isinstance(event, Interrupted) for event in found) >= 1
    assert not [event for event in found if isinstance(event, Failed)]
    assert decided(found) == decided(calm)
