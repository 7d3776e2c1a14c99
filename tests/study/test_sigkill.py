"""The driver is killed by SIGKILL, again and again, at random moments; the study does not notice."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotune.data import Splits
from autotune.data.digits import digits
from autotune.engines.inprocess import InProcess
from autotune.events import (
    Assigned,
    Concluded,
    DriverStarted,
    Interrupted,
    Opened,
    PhaseStarted,
    Proposed,
    Reported,
)
from autotune.ledger import Label, Ledger
from autotune.log import read_events
from autotune.scheduling.asha import ASHA
from autotune.search_spaces.policies import policies
from autotune.searching.random import RandomSearch
from autotune.space import Choice, Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Result, Study
from autotune.task import Classification
from autotune.training.rules import TrialRules

KILLS = 20
HORIZON = 8.0
QUANTUM_SHARE = 0.05


def model(config):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 10)
    )


def counted_loss(model, batch):
    """Cross-entropy that leaves one byte per sample in a file, whatever becomes of the process."""
    with Path("samples").open("ab", buffering=0) as file:
        file.write(b"." * len(batch))
    return F.cross_entropy(model(batch.inputs), batch.targets, reduction="none")


def study(path):
    """The files of `counted_loss` go beside the study's own."""
    path.mkdir(exist_ok=True)
    os.chdir(path)
    torch.set_num_threads(1)
    space = SearchSpace(
        {"lr": Float(0.01, 0.3, log=True), "batch_size": Choice([16, 32]), "policy": policies(pool=0.5)}
    )
    plan = Plan(
        Budget(trials=10),
        ASHA(horizon=HORIZON, lowest=1.0, reduction=2),
        RandomSearch(),
        Confirm(leaders=1, seeds=2),
        seed=4,
    )
    rules = TrialRules(horizon=HORIZON, checkpoint_share=QUANTUM_SHARE)
    task = Classification(data=digits(), model=model, loss=counted_loss)
    return Study(task, space, path, plan, InProcess(), rules)


def drive(path):
    study(path).run()


def history(path, kinds):
    return [event for event in read_events(Path(path) / "log") if isinstance(event, kinds)]


def segments(path):
    return len(list(Path(path).glob("log/*.jsonl")))


def results(path):
    """What every trial scored, without the seconds it took and the node it ran on."""
    return [(e.trial, e.rung, e.score, e.fidelity, e.ledger.total.flops) for e in history(path, Reported)]


@pytest.mark.slow
def test_twenty_kills_change_nothing_and_repeat_at_most_a_quantum_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # restored at the end; `study` goes elsewhere
    calm, mortal = tmp_path / "calm", tmp_path / "mortal"
    began = time.monotonic()
    study(calm).run()
    length_s = time.monotonic() - began
    # a fork server imports once and starts drivers quickly, without inheriting this process's threads
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["autotune.study", "autotune.data.digits", "autotune.search_spaces.policies", "torch._dynamo"]
    )
    chance = random.Random(0)
    kills = 0
    while True:
        driver = context.Process(target=drive, args=(mortal,))
        before = segments(mortal)
        driver.start()
        while driver.is_alive() and segments(mortal) == before:
            time.sleep(0.005)  # it is not a driver before it has written to the log
        driver.join(timeout=None if kills == KILLS else chance.uniform(0.0, 0.6) * length_s / KILLS)
        if driver.exitcode is not None:
            assert driver.exitcode == 0
            break
        os.kill(driver.pid, signal.SIGKILL)
        driver.join()
        kills += 1
    assert kills == KILLS, f"the study ended after {kills} kills already"
    decisions = Proposed | Assigned | PhaseStarted | Concluded
    assert history(mortal, decisions) == history(calm, decisions)
    assert results(mortal) == results(calm)
    assert Result.load(mortal).verdict == Result.load(calm).verdict
    # on a busy machine a driver may be killed before it has written that it started
    assert len(history(mortal, DriverStarted)) >= kills // 2
    n, n_train = digits().n, len(Splits.make(digits(), seed=4).train)
    repeated = (mortal / "samples").stat().st_size - (calm / "samples").stat().st_size
    quantum, largest_pass, batch = QUANTUM_SHARE * HORIZON * n, n, 32
    # one quantum, and what a killed collection of signals had read (it is part of the quantum's compute, but
    # its passes read three samples for the compute of one)
    assert 0 <= repeated <= kills * (quantum + largest_pass + batch)
    lost = sum((event.ledger for event in history(mortal, Interrupted)), Ledger())
    (opened,) = history(mortal, Opened)
    trained = n_train * lost[Label.TRAIN].flops / opened.study["reference_flops"]
    assert 0 < trained <= repeated  # the ledger has what was repeated, but for the step of each kill
    print(f"{kills} kills repeated {repeated / n / kills:.3f} epochs each; a quantum is {quantum / n:.3f}")
