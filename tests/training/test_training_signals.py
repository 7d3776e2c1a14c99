"""Every signal, from the trial that it is of to the selector that reads it."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from autotune import selection
from autotune.checkpoint import CheckpointStore
from autotune.data import Dataset, Splits
from autotune.errors import ConfigurationError, SelectorError
from autotune.events import Failed, Reported
from autotune.ledger import Label
from autotune.selection import Selector, Subset
from autotune.signals import CHECKPOINTS, LENGTH, Signal, passes
from autotune.space import Choice, SearchSpace
from autotune.task import Classification, CustomLoop, Regression
from autotune.testing.workloads import Fuse, Killed, WorkloadContract, declared
from autotune.training.gradients import GradientCollector
from autotune.training.holdout import EPOCHS, PATIENCE
from autotune.training.preflight import check
from autotune.training.probe import probe
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

SEEN = []  # the signals that selectors were given, in order
BASE = {"lr": 0.05, "batch_size": 32, "policy.fraction": 0.3}


@dataclass(frozen=True)
class Reader(Selector):
    """Takes the first samples, and notes what it was given."""

    needs: ClassVar[frozenset[Signal]] = frozenset()

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


# gradients


def untrained(workload, config):
    """The trial that `run` begins, before its first step."""
    return probe(workload.room(workload.task), config, seed=1)


def test_gradients_reach_the_selector(splits, workload):
    needs = (Signal.GRADIENTS, Signal.UPDATES, Signal.TARGET_SPLIT_GRADIENTS)
    config, made = reads(*needs) | {"policy.pool": 0.5}, workload(gradient_width=32, horizon=4.0)
    outcome = run(made, config, until=0.1)
    (signals,) = SEEN
    trial = untrained(made, config)
    collector = GradientCollector(trial.model, trial.source.collector.losses, width=32)
    samples = made.room(made.task).samples
    expected, flops = collector.collect(samples.batches(signals.ids, 999), lambda: None)
    assert signals[Signal.GRADIENTS].shape == (len(splits.train) // 2, 32)
    torch.testing.assert_close(signals[Signal.GRADIENTS], expected)
    torch.testing.assert_close(signals[Signal.UPDATES], expected)
    target, more = collector.collect(samples.batches(torch.tensor(splits.target), 999), lambda: None)
    torch.testing.assert_close(signals[Signal.TARGET_SPLIT_GRADIENTS], target)
    passes = trial.cost.training(2 * len(expected) + len(target))
    assert outcome.ledger[Label.SCORE].flops == pytest.approx(passes + 2 * flops + more)
    trying(made, config)


@pytest.mark.parametrize(("optimizer", "same"), [("sgd", True), ("adamw", False)])
def test_updates_are_what_the_optimizer_makes_of_gradients(workload, optimizer, same):
    config = reads(Signal.GRADIENTS, Signal.UPDATES) | {"optimizer": optimizer, "lr": 0.01}
    run(workload(horizon=9.0, gradient_width=16), config, until=9.0)
    assert torch.equal(SEEN[0][Signal.GRADIENTS], SEEN[0][Signal.UPDATES])
    assert len(SEEN) > 1
    for signals in SEEN[1:]:
        gradients, updates = signals[Signal.GRADIENTS], signals[Signal.UPDATES]
        assert torch.equal(gradients, updates) == same
        assert torch.isfinite(updates).all()


def test_gradients_at_the_latest_points(splits, workload):
    config = reads(Signal.CHECKPOINT_GRADIENTS, Signal.GRADIENTS, Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS)
    made = workload(gradient_width=16, horizon=20.0)
    outcome = run(made, config, until=20.0)
    points = [signals[Signal.CHECKPOINT_GRADIENTS] for signals in SEEN]
    assert len(points) > CHECKPOINTS
    assert [p.shape[1] for p in points[: CHECKPOINTS + 1]] == [1, 2, 3, 3]
    for before, after in pairwise(points):
        shared = min(before.shape[1], CHECKPOINTS - 1)
        assert torch.equal(after[:, -1 - shared : -1], before[:, -shared:])
        assert not torch.equal(after[:, -1], before[:, -1])
    for signals, own in zip(SEEN, points, strict=True):
        assert torch.equal(signals[Signal.GRADIENTS], own[:, -1])
        of_target = signals[Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS]
        assert of_target.shape == (len(splits.target), *own.shape[1:])
    trial, both = untrained(made, config), torch.tensor([*splits.train, *splits.target])
    collector = GradientCollector(trial.model, trial.source.collector.losses, width=16)
    _, flops = collector.collect(made.room(made.task).samples.batches(both, 99), lambda: None)
    each = trial.cost.training(len(both)) + flops
    visits = sum(p.shape[1] for p in points)
    assert outcome.ledger[Label.SCORE].flops == pytest.approx(visits * each)
    SEEN.clear()
    trying(made, config)
    assert SEEN[0][Signal.CHECKPOINT_GRADIENTS].shape[1] == 1


def test_gradients_need_a_loss_and_layers(blobs, workload):
    config = reads(Signal.GRADIENTS)
    with pytest.raises(
        SelectorError, match="policy 'reader': projected gradients need per-sample losses; give"
    ):
        trying(workload(CustomLoop(blobs, own_loop)), config)
    with pytest.raises(SelectorError, match="policy 'reader': layers: 'nowhere' names no module"):
        trying(workload(gradient_layers=("nowhere",)), config)


# what all trials share


class Pixels(nn.Module):
    """A fixed map that counts how often it is called."""

    calls = 0

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 6)
        nn.init.eye_(self.inner.weight)
        nn.init.zeros_(self.inner.bias)
        self.drop = nn.Dropout(0.5)

    def forward(self, inputs):
        type(self).calls += 1
        return self.drop(self.inner(inputs)).view(-1, 2, 3)


def test_features_of_an_encoder_are_computed_once(blobs, splits, workload, tmp_path):
    encoder = Pixels()
    config, made = (
        reads(Signal.FEATURES) | {"policy.pool": 0.5},
        workload(Classification(blobs, build, encoder=encoder)),
    )
    trying(made, config)
    assert SEEN.pop()[Signal.FEATURES].shape == (8, 6)
    assert not (tmp_path / "checkpoints" / "shared").exists()
    first = run(made, config)
    Pixels.calls = 0
    other = made.worker(made.bulk).advance(Assignment(1, 1, config, 2, 0, 0.0, 2.0), lambda: None)
    assert Pixels.calls == 0
    assert encoder.training
    for signals in SEEN:
        torch.testing.assert_close(signals[Signal.FEATURES], torch.tensor(blobs.inputs)[signals.ids, :6])
    assert first.ledger[Label.SHARED].flops == 2 * 8 * 6 * len(splits.train)
    assert first.ledger[Label.SHARED].seconds > 0
    assert Label.SHARED not in other.ledger.charges
    assert first.ledger[Label.SCORE].flops == 0
    assert first.fidelity * untrained(made, config).cost.epoch == pytest.approx(
        first.ledger[Label.TRAIN].flops
    )


def test_without_an_encoder_features_are_embeddings(workload):
    run(workload(), reads(Signal.FEATURES, Signal.EMBEDDINGS), until=0.5)
    assert torch.equal(SEEN[0][Signal.FEATURES], SEEN[0][Signal.EMBEDDINGS])


@pytest.mark.parametrize(
    ("encoder", "text"),
    [(nn.Flatten(0), r"got \(64,\)"), (nn.LSTM(8, 2), "got tuple; wrap it in a module that does")],
)
def test_an_encoder_gives_a_row_per_sample(blobs, workload, encoder, text):
    made = workload(Classification(blobs, build, encoder=encoder))
    with pytest.raises(SelectorError, match="policy 'reader': the encoder must give one tensor.*" + text):
        trying(made, reads(Signal.FEATURES))


class Widest(Reader):
    """The largest features first, however many are wanted."""

    nested = True
    needs = frozenset({Signal.FEATURES, Signal.TARGETS})

    def select(self, signals, budget, generator):
        SEEN.append((signals, budget))
        order = signals[Signal.FEATURES].sum(1).sort(descending=True, stable=True).indices
        return Subset.uniform(signals.ids[order[:budget]])

    def cost(self, n, budget, width):
        return 1000.0 * budget + width


def test_one_order_serves_all_trials(blobs, splits, workload, tmp_path):
    selection.register("widest")(Widest)
    made = workload(Classification(blobs, build, encoder=nn.Linear(8, 4)))
    worker, n = made.worker(made.bulk), len(splits.train)
    features = 2 * 8 * 4 * n
    paid, kept = [], []
    for trial, fraction in enumerate((0.2, 0.1, 0.4, 0.3)):
        config = BASE | {"policy": "widest", "policy.fraction": fraction}
        outcome = worker.advance(Assignment(trial, trial, config, trial, 0, 0.0, 1.0), lambda: None)
        assert outcome.selections > 1
        assert outcome.ledger[Label.SCORE].flops == outcome.ledger[Label.SELECT].flops == 0
        paid.append(outcome.ledger[Label.SHARED].flops)
        kept.append(CheckpointStore(tmp_path / "checkpoints").latest(trial).tensors["feeder/ids"])
    budgets = [round(fraction * n) for fraction in (0.2, 0.4)]
    assert [budget for _, budget in SEEN] == budgets
    assert paid == [features + 1000 * budgets[0] + 4, 0, 1000 * budgets[1] + 4, 0]
    assert all(torch.equal(ids, kept[2][: len(ids)]) for ids in kept)
    pooled = BASE | {"policy": "widest", "policy.pool": 0.5}
    outcome = worker.advance(Assignment(9, 9, pooled, 9, 0, 0.0, 1.0), lambda: None)
    assert outcome.ledger[Label.SELECT].flops > 0
    assert SEEN[-1][0].n == round(0.5 * n)


def test_an_order_of_what_changes_is_each_trials_own(blobs, workload):
    selection.register("widest")(Widest)
    outcome = run(workload(), BASE | {"policy": "widest"})
    assert Label.SHARED not in outcome.ledger.charges
    assert len(SEEN) == outcome.selections > 1
    SEEN.clear()
    for seed in (1, 2):  # what nothing is read for may differ from trial to trial
        made = workload(Classification(blobs, build, encoder=nn.Linear(8, 4)))
        ledger = (
            made.worker(made.bulk)
            .advance(Assignment(seed, seed, BASE | {"policy": "random"}, seed, 0, 0.0, 1.0), lambda: None)
            .ledger
        )
        assert Label.SHARED not in ledger.charges


def focal_loss(model, batch):
    losses = nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")
    return (1 - (-losses).exp()) ** 2 * losses


def generous(blobs):
    return Splits.make(blobs, target=0.3, validation=0.2, test=0.2, seed=0)


def test_reference_losses_are_those_of_a_model_of_the_target_split(blobs, workload, tmp_path):
    """Trained once, without a sample of the training split, and better than no training at all."""
    splits = generous(blobs)
    made = replace(
        workload(splits=splits), reference={"lr": 0.1, "batch_size": 16, "policy": "reader"}, seed=3
    )
    config = reads(Signal.REFERENCE_LOSS, Signal.LOSS)
    trying(made, config)
    assert SEEN.pop()[Signal.REFERENCE_LOSS].shape == (8,)
    assert not (tmp_path / "checkpoints" / "shared").exists()
    first = run(made, config)
    losses = SEEN[0][Signal.REFERENCE_LOSS]
    assert losses.shape == (len(splits.train),)
    assert losses.mean() < 0.8 * SEEN[0][Signal.LOSS].mean()
    assert all(torch.equal(signals[Signal.REFERENCE_LOSS], losses) for signals in SEEN)
    flops = first.ledger[Label.SHARED].flops
    epoch = untrained(made, config).cost.training(len(splits.target))
    assert PATIENCE * epoch < flops < 2 * EPOCHS * epoch
    assert first.ledger.own.total.flops == first.ledger.total.flops - flops
    SEEN.clear()
    elsewhere = replace(made, path=tmp_path / "elsewhere")
    again = run(elsewhere, config)
    assert torch.equal(SEEN[0][Signal.REFERENCE_LOSS], losses)
    assert declared(again) == declared(first)
    SEEN.clear()
    in_common = replace(made, path=tmp_path / "later", shared=tmp_path / "elsewhere" / "shared")
    assert Label.SHARED not in run(in_common, config).ledger.charges
    assert torch.equal(SEEN[0][Signal.REFERENCE_LOSS], losses)
    SEEN.clear()
    focal = replace(in_common, path=tmp_path / "focal", task=replace(made.task, loss=focal_loss))
    assert Label.SHARED in run(focal, config).ledger.charges  # another loss, another hold-out model
    assert not torch.equal(SEEN[0][Signal.REFERENCE_LOSS], losses)
    SEEN.clear()
    other_seed = replace(in_common, path=tmp_path / "other", seed=4)
    assert Label.SHARED in run(other_seed, config).ledger.charges
    assert not torch.equal(SEEN[0][Signal.REFERENCE_LOSS], losses)


def test_reference_losses_have_the_label_smoothing_of_the_trial(blobs, workload, tmp_path):
    """One hold-out model for all; what is taken from a smoothed loss is smoothed alike."""
    reference = {"lr": 0.1, "batch_size": 16, "policy": "reader"}
    made = replace(workload(splits=generous(blobs)), reference=reference, seed=3, shared=tmp_path / "shared")
    found = {}
    for smoothing in (0.0, 0.2, 0.4):
        SEEN.clear()
        one = replace(made, path=tmp_path / str(smoothing))
        outcome = run(one, reads(Signal.REFERENCE_LOSS) | {"label_smoothing": smoothing})
        assert (Label.SHARED in outcome.ledger.charges) is (smoothing == 0.0)
        found[smoothing] = SEEN[0][Signal.REFERENCE_LOSS]
    assert found[0.4].mean() > found[0.2].mean() > found[0.0].mean()
    assert torch.allclose(found[0.4] - found[0.2], found[0.2] - found[0.0], atol=1e-5)


def test_an_own_loop_trains_its_own_hold_out_model(blobs, workload):
    def loss(model, batch):
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")

    made = workload(CustomLoop(blobs, own_loop, loss=loss), splits=generous(blobs))
    made = replace(made, reference={"lr": 0.1})
    config = reads(Signal.REFERENCE_LOSS)
    trying(made, config)
    outcome = run(made, config)
    assert outcome.ledger[Label.SHARED].flops > 0
    assert SEEN[-1][Signal.REFERENCE_LOSS].std() > 0


def test_a_hold_out_model_that_fails_says_so(blobs, workload):
    made = replace(workload(splits=generous(blobs)), reference={"lr": 1e30})
    outcome = made.worker(made.bulk).advance(
        Assignment(0, 0, reads(Signal.REFERENCE_LOSS), 1, 0, 0.0, 2.0), lambda: None
    )
    assert isinstance(outcome, Failed)
    assert (
        "the hold-out model, the reference configuration trained on the target split, failed"
        in outcome.message
    )


def test_a_hold_out_model_needs_no_score(blobs, workload):
    """Few samples judge it, and where their targets are all alike, no variance can be explained."""
    splits, targets = generous(blobs), blobs.inputs[:, 0].copy()
    targets[splits.target] = 0.0
    data = Dataset.from_arrays(blobs.inputs, targets)
    task = Regression(data, lambda config: nn.Sequential(nn.Linear(8, 1), nn.Flatten(0)), metric="r2")
    made = replace(workload(task, splits=splits), reference={"lr": 0.01})
    trying(made, reads(Signal.REFERENCE_LOSS))
    outcome = run(made, reads(Signal.REFERENCE_LOSS))
    assert SEEN[-1][Signal.REFERENCE_LOSS].isfinite().all()
    assert outcome.ledger[Label.SHARED].flops > 0


def test_a_hold_out_model_needs_a_target_split_and_losses(blobs, workload):
    config = reads(Signal.REFERENCE_LOSS)
    small = workload(splits=Splits.make(blobs, target=0.06, validation=0.2, test=0.2))
    with pytest.raises(SelectorError, match="target split, which must have at least 20 samples, got 18"):
        trying(small, config)
    with pytest.raises(SelectorError, match="give the task a loss="):
        trying(workload(CustomLoop(blobs, own_loop), splits=generous(blobs)), config)


@pytest.mark.parametrize("fuse", [3, 40, 70])
def test_what_is_shared_is_charged_once_however_often_its_maker_is_killed(blobs, workload, tmp_path, fuse):
    made = replace(workload(splits=generous(blobs)), reference={"lr": 0.1})
    config = reads(Signal.REFERENCE_LOSS)
    whole = run(made, config)
    killed = replace(made, path=tmp_path / "killed")
    assignment = Assignment(0, 0, config, 1, 0, 0.0, 2.0)
    with pytest.raises(Killed):
        killed.worker(killed.bulk).advance(assignment, Fuse(fuse))
    lost = killed.remains(assignment).lost
    assert lost[Label.SHARED].flops == 0
    assert declared(run(killed, config)) == declared(whole)


# everything at once


@dataclass(frozen=True)
class Largest(Reader):
    """Takes what is largest in what it is given, so that every bit of it counts."""

    def select(self, signals, budget, generator):
        total = torch.zeros(signals.n)
        for signal in sorted(self.needs):
            if not signal.of_target_split:
                total += (
                    signals[signal]
                    .float()
                    .nan_to_num()
                    .flatten(1 if signals[signal].dim() > 1 else 0)
                    .sum(-1)
                )
        return Subset.uniform(signals.ids[total.sort(descending=True, stable=True).indices[:budget]])


NEEDS = {
    "histories": {Signal.LOSS_HISTORY, Signal.MARGIN_HISTORY},
    "gradients": {Signal.UPDATES, Signal.CHECKPOINT_GRADIENTS},
    "shared": {Signal.FEATURES, Signal.LOSS},
}


class TestEverySignal(WorkloadContract):
    """Killed anywhere and resumed, by this worker or another, the selector is given the same."""

    rungs = (2.0, 5.0)

    @pytest.fixture(params=NEEDS)
    def config(self, request):
        own = type("Own", (Largest,), {"needs": frozenset(NEEDS[request.param]), "tolerates_gaps": True})
        selection.register("largest")(own)
        return BASE | {"policy": "largest", "optimizer": "adamw", "lr": 0.01, "policy.pool": 0.4}

    @pytest.fixture
    def make(self, blobs, splits):
        rules = TrialRules(horizon=5.0, checkpoint_share=0.1, gradient_width=16)
        task = Classification(blobs, build, encoder=nn.Linear(8, 2))
        return lambda path: TrainingWorkload(task, splits, rules, path, reference={"lr": 0.1})


@pytest.mark.parametrize("name", [name for name in selection.selector_names() if name != "full"])
def test_every_selector_chooses_in_a_trial(blobs, splits, tmp_path, name):
    """Whatever signals it needs, it is given them, before the trial and during it."""
    task = Classification(blobs.with_columns(groups=np.arange(blobs.n) % 3), build)
    rules = TrialRules(horizon=600.0, gradient_width=16)  # beside so small a model rules are dear
    made = TrainingWorkload(task, splits, rules, tmp_path, reference={"lr": 0.1})
    config = BASE | {"policy": name, "policy.pool": 0.5, "policy.warmup": 0.003}
    trying(made, config)
    outcome = run(made, config, until=5.0)
    assert outcome.selections > 0


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


@dataclass(frozen=True)
class Dear(Largest):
    """Says that it costs a thousand times the trial."""

    needs: ClassVar[frozenset[Signal]] = frozenset({Signal.EMBEDDINGS})

    def cost(self, n, budget, width):
        return 1e15


@pytest.mark.parametrize(
    ("name", "pool", "said"), [("dear", 0.5, "its rule costs"), ("tracin", 1.0, "its signals cost 3 ")]
)
def test_a_selection_that_leaves_nothing_to_train_is_refused_before_it_is_made(workload, name, pool, said):
    selection.register("dear")(Dear)
    made, config = workload(), BASE | {"policy": name, "policy.pool": pool, "policy.warmup": 0.5}
    found = made.worker(made.bulk).advance(Assignment(0, 0, config, 1, 0, 0.0, 2.0), lambda: None)
    assert isinstance(found, Failed)
    assert f"policy '{name}': one selection leaves nothing to train: {said}" in found.message
    assert found.ledger[Label.SELECT].flops == 0


def test_half_precision_reaches_the_passes_of_a_trial(workload):
    config = reads(Signal.LOGITS, Signal.EMBEDDINGS, Signal.GRADIENTS) | {"policy.pool": 0.5}
    for trial, precision in enumerate([None, "bfloat16"]):
        made = workload(horizon=9.0, signal_precision=precision)
        told = made.worker(made.bulk).advance(Assignment(0, trial, config, 1, 0, 0.0, 0.1), lambda: None)
        assert isinstance(told, Reported), told
    whole, halved = SEEN
    assert torch.equal(whole[Signal.GRADIENTS], halved[Signal.GRADIENTS])  # always in float32
    assert not torch.equal(whole[Signal.LOGITS], halved[Signal.LOGITS])
    torch.testing.assert_close(whole[Signal.LOGITS], halved[Signal.LOGITS], rtol=0.05, atol=0.05)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigurationError, match="signal_precision must be 'bfloat16'"):
        TrialRules(1.0, signal_precision="float16")
