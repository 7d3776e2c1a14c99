"""Every signal, from the trial that it is of to the selector that reads it."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from autotune import selection
from autotune.data import Dataset, Splits
from autotune.errors import SelectorError
from autotune.events import Failed, Reported
from autotune.ledger import Label
from autotune.selection import Selector, Subset
from autotune.signals import Signal, passes
from autotune.space import Choice, SearchSpace
from autotune.task import Classification, CustomLoop, Regression
from autotune.training.preflight import check
from autotune.training.rules import TrialRules
from autotune.training.tracks import LENGTH
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

SEEN = []  # the signals that selectors were given, in order
BASE = {"lr": 0.05, "batch_size": 32, "policy.fraction": 0.3}


@dataclass(frozen=True)
class Reader(Selector):
    """Takes the first samples, and notes what it was given."""

    needs: ClassVar[frozenset[Signal]] = frozenset()
    only: int = field(default=0, compare=False)

    def select(self, signals, budget, generator):
        SEEN.append(signals)
        return Subset.uniform(signals.ids[:budget])

    def cost(self, n, budget, width):
        return 0.0


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    selection.selector_names()  # loads them, which is done once
    monkeypatch.setattr(selection, "_REGISTRY", dict(selection._REGISTRY))
    SEEN.clear()


def reads(*needs, tolerant=False):
    """The configuration of a policy whose selector reads some signals."""

    @selection.register("reader")
    class Own(Reader):
        tolerates_gaps = tolerant

    Own.needs = frozenset(needs)
    return BASE | {"policy": "reader"}


def build(config):
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


@pytest.fixture
def workload(blobs, splits, tmp_path):
    def make(task=None, horizon=2.0, splits=splits, **rules):
        task = task or Classification(blobs, build)
        return TrainingWorkload(task, splits, TrialRules(horizon=horizon, **rules), tmp_path / "checkpoints")

    return make


def run(workload, config, until=2.0):
    outcome = workload.worker(workload.bulk).advance(Assignment(0, 0, config, 1, 0, 0.0, until), lambda: None)
    assert isinstance(outcome, Reported), outcome
    return outcome


def trying(workload, config):
    check(workload, SearchSpace({"lr": 0.05, "policy": Choice({config["policy"]: {"fraction": 0.3}})}))


# groups and targets


def test_groups_reach_the_selector(blobs, splits, workload):
    data = blobs.with_columns(groups=np.arange(blobs.n) % 5)
    config = reads(Signal.GROUPS)
    outcome = run(workload(Classification(data, build)), config)
    assert torch.equal(SEEN[0][Signal.GROUPS], SEEN[0].ids % 5)
    assert outcome.ledger[Label.SCORE].flops == 0
    trying(workload(Classification(data, build)), config)


def test_data_without_groups_is_refused_before_anything_is_spent(workload):
    config = reads(Signal.GROUPS)
    with pytest.raises(
        SelectorError, match=r"policy 'reader': the data has no column 'groups'.*with_columns"
    ):
        trying(workload(), config)


def test_targets_of_the_target_split(blobs, splits, workload):
    config = reads(Signal.TARGET_SPLIT_TARGETS, Signal.TARGETS)
    outcome = run(workload(), config)
    assert SEEN[0][Signal.TARGET_SPLIT_TARGETS].tolist() == blobs.targets[splits.target].tolist()
    assert SEEN[0][Signal.TARGETS].tolist() == blobs.targets[splits.train].tolist()
    assert outcome.ledger[Label.SCORE].flops == 0
    trying(workload(), config)


def test_progress_is_told(workload):
    run(workload(), reads(Signal.TARGETS))
    progress = [signals.progress for signals in SEEN]
    assert progress[0] == 0.0
    assert progress == sorted(progress)
    assert 0.5 < progress[-1] < 1.0


# histories


def own_loop(session):
    model = build(session.config)
    optimizer = torch.optim.SGD(model.parameters(), lr=session.config["lr"])
    session.attach(model, optimizer)
    for batch in session.loader(32):
        losses = nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")
        optimizer.zero_grad()
        (losses * batch.weights).mean().backward()
        optimizer.step()
        session.observe(batch.ids, losses)
    session.report(accuracy=0.5)


@pytest.mark.parametrize("own", [False, True])
def test_histories_come_from_training(blobs, workload, own):
    """All data first, then the subset again and again: those have more to tell."""
    config = reads(Signal.LOSS_HISTORY, Signal.MARGIN_HISTORY, Signal.LOSS, tolerant=True)
    task = CustomLoop(blobs, own_loop) if own else None
    trying(workload(task), config)
    assert not SEEN[0].reading(Signal.LOSS_HISTORY).covered.any()
    SEEN.clear()
    outcome = run(workload(task), config | {"policy.warmup": 0.5})
    assert outcome.ledger[Label.SCORE].flops == 0
    n = SEEN[0].n
    first, last = SEEN[0], SEEN[-1]
    for signal in (Signal.LOSS_HISTORY, Signal.MARGIN_HISTORY):
        assert first[signal].shape == last[signal].shape == (n, LENGTH)
        assert first.reading(signal).covered.all()
        counts = (~torch.isnan(first[signal])).sum(1)
        assert counts.tolist() == [1] * n
        counts = (~torch.isnan(last[signal])).sum(1)
        chosen = round(0.3 * n)
        assert counts[chosen:].tolist() == [1] * (n - chosen)
        assert counts[:chosen].min() >= 3
    assert torch.equal(last[Signal.LOSS], last[Signal.LOSS_HISTORY][:, -1])
    margin, loss = last[Signal.MARGIN_HISTORY], last[Signal.LOSS_HISTORY]
    odds = torch.exp(-margin)  # of the likeliest other class; there are two of them
    told = ~torch.isnan(margin)
    assert (torch.log1p(odds)[told] <= loss[told] + 1e-5).all()
    assert (torch.log1p(2 * odds)[told] >= loss[told] - 1e-5).all()


def test_a_history_needs_a_selector_that_copes_with_gaps(workload):
    config = reads(Signal.LOSS_HISTORY)
    with pytest.raises(SelectorError, match="loss_history begins empty; set tolerates_gaps = True"):
        trying(workload(), config)


def test_margins_need_classes(blobs, workload):
    numbers = Dataset.from_arrays(blobs.inputs, blobs.inputs[:, 0])
    task = Regression(numbers, lambda config: nn.Linear(8, 1))
    config = reads(Signal.MARGIN_HISTORY, tolerant=True)
    with pytest.raises(
        SelectorError, match="policy 'reader': margins need class ids as targets; use selectors"
    ):
        trying(workload(task, splits=Splits.make(numbers, validation=0.2)), config)


def in_pieces(session):
    model = build(session.config)
    session.attach(model, torch.optim.SGD(model.parameters(), lr=0.05))
    for batch in session.loader(32):
        for inputs in batch.inputs.split(8):
            model(inputs)
    session.report(accuracy=0.5)


def test_a_loop_that_hides_its_logits_is_told(blobs, workload):
    config = reads(Signal.MARGIN_HISTORY, tolerant=True)
    made = workload(CustomLoop(blobs, in_pieces))
    outcome = made.worker(made.bulk).advance(Assignment(0, 0, config, 1, 0, 0.0, 1.0), lambda: None)
    assert isinstance(outcome, Failed)
    assert "once in each step and for the whole batch" in outcome.message


# what it costs


@pytest.mark.parametrize(
    ("needs", "cost"),
    [
        ({Signal.TARGETS, Signal.GROUPS, Signal.LOSS_HISTORY, Signal.REFERENCE_LOSS}, 0.0),
        ({Signal.TARGET_SPLIT_EMBEDDINGS}, 0.0),
        ({Signal.LOSS, Signal.EMBEDDINGS, Signal.FEATURES}, 1 / 3),
        ({Signal.GRADIENTS}, 1.0),
        ({Signal.CHECKPOINT_GRADIENTS, Signal.LOSS}, 3 + 1 / 3),
    ],
)
def test_passes_over_the_candidates(needs, cost):
    assert passes(needs) == pytest.approx(cost)
