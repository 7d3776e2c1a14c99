import pickle
import re
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from autotune import selection
from autotune.checkpoint import CheckpointStore
from autotune.data import Dataset, Splits
from autotune.errors import CheckpointError, DeviceLostError, HungError
from autotune.events import Failed, Interrupted, Reported
from autotune.ledger import Label
from autotune.selection import Selector, Subset
from autotune.task import Classification, CustomLoop, Regression
from autotune.testing.workloads import Fuse, Killed, WorkloadContract, declared, saved
from autotune.training.attempts import MAX_STARTS, Attempts
from autotune.training.compare import BRANCH_SHARE
from autotune.training.failures import device_lost
from autotune.training.rules import TrialRules
from autotune.training.trial import Trial
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

BASE = {"optimizer": "adamw", "lr": 0.01, "batch_size": 32, "schedule": "cosine", "schedule.warmup": 0.1}


@dataclass(frozen=True)
class Lowest(Selector):
    needs = frozenset()

    def select(self, signals, budget, generator):
        return Subset.uniform(signals.ids.sort().values[:budget])

    def cost(self, n, budget, width):
        return float(n)


POLICIES = {
    "full": {},
    "random": {"policy": "random", "policy.fraction": 0.3},
    "fresh_random": {"policy": "fresh_random", "policy.fraction": 0.3, "policy.anneal": 0.3},
    "infobatch": {"policy": "infobatch", "policy.fraction": 0.5, "policy.warmup": 0.2},
    "small_loss": {"policy": "small_loss", "policy.fraction": 0.3, "policy.pool": 0.5},
    "el2n": {"policy": "el2n", "policy.fraction": 0.2, "policy.interval": 0.2, "policy.warmup": 0.1},
    "target_alignment": {"policy": "target_alignment", "policy.fraction": 0.2, "policy.pool": 0.4},
}


def build(config):
    """Dropout and batch normalisation: both kinds of hidden state."""
    width = config.get("width", 16)
    return nn.Sequential(
        nn.Linear(8, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 3)
    )


def own_loop(session):
    model = build(session.config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    session.attach(model, optimizer)
    for batch in session.loader(session.config["batch_size"]):
        losses = nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")
        optimizer.zero_grad()
        (losses * batch.weights).mean().backward()
        optimizer.step()
        session.observe(batch.ids, losses)
    right = sum((model(b.inputs).argmax(1) == b.targets).sum().item() for b in session.evaluation())
    session.report(accuracy=right / session.evaluation_size)


@pytest.fixture
def rules():
    return TrialRules(horizon=1.2, checkpoint_share=0.1)


class TestEveryPolicy(WorkloadContract):
    @pytest.fixture(params=POLICIES)
    def config(self, request):
        return BASE | POLICIES[request.param]

    @pytest.fixture
    def make(self, blobs, splits, rules):
        return lambda path: TrainingWorkload(Classification(blobs, build), splits, rules, path)


class TestBranches(WorkloadContract):
    @pytest.fixture(params=["full", "infobatch"])
    def config(self, request):
        return BASE | POLICIES[request.param]

    @pytest.fixture
    def make(self, blobs, splits):
        rules = TrialRules(horizon=1.2, checkpoint_share=0.1, compare="branch")
        return lambda path: TrainingWorkload(Classification(blobs, build), splits, rules, path)


class TestOwnLoop(WorkloadContract):
    @pytest.fixture(params=["full", "infobatch", "fresh_random"])
    def config(self, request):
        return {"batch_size": 16} | POLICIES[request.param]

    @pytest.fixture
    def make(self, blobs, splits, rules):
        return lambda path: TrainingWorkload(CustomLoop(blobs, own_loop), splits, rules, path)


def shapeless(config):
    """Takes its shapes from what it sees first."""
    return nn.Sequential(nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(3))


class TestLazyModel(WorkloadContract):
    @pytest.fixture
    def config(self):
        return BASE

    @pytest.fixture
    def make(self, blobs, splits, rules):
        return lambda path: TrainingWorkload(Classification(blobs, shapeless), splits, rules, path)


class TestRegression(WorkloadContract):
    @pytest.fixture
    def config(self):
        return {"lr": 0.01, "grad_clip": 1.0, "policy": "small_loss", "policy.fraction": 0.5}

    @pytest.fixture
    def make(self, blobs, rules):
        data = Dataset.from_arrays(blobs.inputs, blobs.inputs[:, 0] * 2 + 1)
        splits = Splits.make(data, by="random", seed=0)
        return lambda path: TrainingWorkload(Regression(data, small), splits, rules, path)


def small(config):
    """Not so small that choosing costs more than training."""
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))


def worker_of(task, splits, path, rules=None):
    workload = TrainingWorkload(task, splits, rules or TrialRules(horizon=1.2), path)
    return workload.worker(workload.bulk)


def advance(worker, config, until=0.5, trial=0, **more):
    return worker.advance(Assignment(0, trial, config, 1, 0, 0.0, until, **more), lambda: None)


@pytest.mark.parametrize("name", POLICIES)
def test_rungs_leave_no_trace_in_training(blobs, splits, tmp_path, name):
    """Stopping to be judged on the way changes nothing about what is learnt."""
    task, config = Classification(blobs, build), BASE | POLICIES[name]
    worker = worker_of(task, splits, tmp_path / "rungs")
    for rung, until in enumerate((0.1, 0.37, 1.2)):
        stepped = worker.advance(Assignment(rung, 0, config, 1, rung, 0.0, until), lambda: None)
    straight = advance(worker_of(task, splits, tmp_path / "straight"), config, until=1.2)
    assert stepped.metrics == straight.metrics
    assert stepped.fidelity == pytest.approx(straight.fidelity, rel=1e-12)


def test_learning_happens_and_test_is_judged_by_the_same_weights(blobs, splits, tmp_path):
    worker = worker_of(Classification(blobs, build), splits, tmp_path, TrialRules(horizon=20))
    trained = advance(worker, BASE, until=20.0)
    assert trained.score > 0.85
    hot = advance(worker, BASE, until=20.0, test=True)
    cold = advance(worker_of(Classification(blobs, build), splits, tmp_path), BASE, until=20.0, test=True)
    assert declared(hot) == declared(cold)
    assert isinstance(hot, Reported)
    assert hot.metrics != trained.metrics
    assert hot.ledger[Label.TRAIN].flops == 0
    assert hot.ledger[Label.EVALUATE].flops > 0


def test_a_model_whose_checkpoint_was_lost_is_trained_again_to_be_tested(blobs, splits, tmp_path):
    task = Classification(blobs, build)
    advance(worker_of(task, splits, tmp_path / "kept"), BASE)
    kept = advance(worker_of(task, splits, tmp_path / "kept"), BASE, test=True)
    lost = advance(worker_of(task, splits, tmp_path / "lost"), BASE, test=True)
    assert lost.metrics == kept.metrics
    assert lost.ledger[Label.TRAIN].flops > 0 == kept.ledger[Label.TRAIN].flops


def test_a_checkpoint_of_other_code_is_no_fault_of_the_trial(blobs, splits, tmp_path):
    advance(worker_of(Classification(blobs, build), splits, tmp_path), BASE)
    with pytest.raises(CheckpointError, match="does not fit this trial's model"):
        advance(worker_of(Classification(blobs, small), splits, tmp_path), BASE, until=1.0)


def broken(config):
    raise TypeError("width 'x' is not a number")


def hanging(config):
    raise HungError("no progress for watchdog_s=1 s")


def greedy(config):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")


def exploding(config):
    model = build(config)
    model[0].weight.data.fill_(float("inf"))
    return model


@pytest.mark.parametrize(
    ("model", "kind", "text"),
    [
        (
            broken,
            "error",
            r"TypeError: width 'x' is not a number \(.*test_training_workload.py:\d+ in broken\)",
        ),
        (hanging, "hung", "no progress"),
        (greedy, "memory", "allocate"),
        (exploding, "diverged", "the training loss is nan; search lower"),
    ],
)
def test_a_trial_fails_by_its_own_fault(blobs, splits, tmp_path, model, kind, text):
    outcome = advance(worker_of(Classification(blobs, model), splits, tmp_path), BASE)
    assert isinstance(outcome, Failed)
    assert outcome.kind == kind
    assert re.search(text, outcome.message)
    assert Label.OVERHEAD in outcome.ledger.charges


def silent(session):
    model = build(session.config)
    session.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    list(session.loader(32))


def misspelt(session):
    silent(session)
    session.report(acuracy=0.5)


def lazy(session):
    model = build(session.config)
    session.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    next(session.loader(32))
    session.report(accuracy=0.5)


def lost(session):
    silent(session)
    session.report(accuracy=float("nan"))


def shouting(session):
    silent(session)
    session.report(accuracy="high")


def averaging(session):
    model = build(session.config)
    session.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    for batch in session.loader(32):
        session.observe(batch.ids, nn.functional.cross_entropy(model(batch.inputs), batch.targets))


def batchless(session):
    model = build(session.config)
    session.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    next(session.loader(0))


def detached(session):
    next(session.loader(32))


@pytest.mark.parametrize(
    ("loop", "kind", "text"),
    [
        (averaging, "error", "one loss per sample, (30,), got (); use reduction"),
        (batchless, "error", "batch_size must be at least 1, got 0"),
        (detached, "error", "call session.attach(model, optimizer) first"),
        (silent, "metric", "nothing was reported"),
        (misspelt, "metric", "did you mean 'acuracy'"),
        (lazy, "error", "iterate session.loader to its end"),
        (lost, "diverged", "the score is nan"),
        (shouting, "error", "report(accuracy=...) must give one number, got 'high'"),
    ],
)
def test_an_own_loop_that_breaks_its_word_fails(blobs, splits, tmp_path, loop, kind, text):
    outcome = advance(worker_of(CustomLoop(blobs, loop), splits, tmp_path), {})
    assert isinstance(outcome, Failed)
    assert outcome.kind == kind
    assert text in outcome.message


def test_a_person_can_interrupt_and_go_on(blobs, splits, tmp_path):
    worker = worker_of(Classification(blobs, build), splits, tmp_path)
    for _ in range(9):  # more often than a crashing trial may be started
        with pytest.raises(Killed):
            worker.advance(Assignment(0, 0, BASE, 1, 0, 0.0, 0.5), Fuse(1))
    assert isinstance(advance(worker, BASE), Reported)


def test_fidelity_is_what_was_charged(blobs, splits, tmp_path):
    config = BASE | POLICIES["el2n"]
    outcome = advance(worker_of(Classification(blobs, build), splits, tmp_path), config, until=1.2)
    own = sum(outcome.ledger[label].flops for label in (Label.TRAIN, Label.SCORE, Label.SELECT))
    train = len(splits.train)
    forward = outcome.ledger[Label.EVALUATE].flops / len(splits.validation)
    assert outcome.fidelity == pytest.approx(own / (3 * forward * train))
    assert outcome.ledger[Label.SCORE].flops == pytest.approx(outcome.selections * train * forward)
    assert outcome.selections >= 2


def test_at_most_a_quantum_is_lost(blobs, splits, tmp_path):
    """Killed anywhere, a trial repeats no more steps than a checkpoint's share of its horizon."""
    rules = TrialRules(horizon=4.0, checkpoint_share=0.05)
    whole = Fuse()
    worker_of(Classification(blobs, build), splits, tmp_path / "whole", rules).advance(
        Assignment(0, 0, BASE, 1, 0, 0.0, 4.0), whole
    )
    killed, resumed = Fuse(20), Fuse()
    with pytest.raises(Killed):
        worker_of(Classification(blobs, build), splits, tmp_path, rules).advance(
            Assignment(0, 0, BASE, 1, 0, 0.0, 4.0), killed
        )
    worker_of(Classification(blobs, build), splits, tmp_path, rules).advance(
        Assignment(0, 0, BASE, 1, 0, 0.0, 4.0), resumed
    )
    steps_per_epoch = len(splits.train) / 32
    assert 20 - 1 + resumed.calls - whole.calls <= 0.05 * 4.0 * steps_per_epoch + 1


@pytest.mark.parametrize("asked", [1, 4])
@pytest.mark.parametrize("name", ["full", "infobatch", "el2n"])
def test_a_trial_whose_machine_is_about_to_go_loses_no_step(blobs, splits, tmp_path, name, asked):
    """It is asked from some beat on, and goes on elsewhere as if nothing had been."""
    task, given = Classification(blobs, build), Assignment(0, 0, BASE | POLICIES[name], 1, 0, 0.0, 1.2)
    calm = worker_of(task, splits, tmp_path / "calm").advance(given, lambda: None)
    beats = iter(range(1, 1000))
    workload = TrainingWorkload(task, splits, TrialRules(horizon=1.2), tmp_path / "gone")
    told = workload.worker(workload.bulk).advance(given, lambda: next(beats) >= asked)
    assert told == Interrupted(0, 0, "its machine is about to go")
    remains = workload.remains(given)
    assert remains.saved.total.flops > 0
    assert remains.lost.total.flops == 0
    answer = workload.worker(workload.bulk).advance(given, lambda: None)
    assert (answer.score, answer.ledger.total.flops) == (calm.score, calm.ledger.total.flops)


def test_a_loop_that_swallows_every_error_is_not_failed_for_its_machine(blobs, splits, tmp_path):
    def stubborn(session):
        with suppress(Exception):
            own_loop(session)

    worker = worker_of(CustomLoop(blobs, stubborn), splits, tmp_path)
    told = worker.advance(Assignment(0, 0, {"batch_size": 16}, 1, 0, 0.0, 0.5), lambda: True)
    assert isinstance(told, Interrupted)


def test_batches_never_leave_one_sample_alone(splits, blobs, tmp_path):
    """Batch normalisation cannot train on a single one."""
    one_over = len(splits.train) - 1
    outcome = advance(
        worker_of(Classification(blobs, build), splits, tmp_path), BASE | {"batch_size": one_over}, until=1.2
    )
    assert isinstance(outcome, Reported)


def test_bytes_become_floats_and_integers_stay(tmp_path):
    seen = {}

    class Look(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, inputs):
            seen[inputs.dtype] = inputs.float().max().item()
            return self.head(inputs.float())

    rng = np.random.default_rng(0)
    targets = np.arange(400) % 2
    for inputs in (rng.integers(0, 256, (400, 4)).astype(np.uint8), rng.integers(0, 9, (400, 4))):
        data = Dataset.from_arrays(inputs, targets)
        splits = Splits.make(data, seed=0)
        task = Classification(data, lambda config: Look())
        advance(worker_of(task, splits, tmp_path / str(inputs.dtype)), {"lr": 1e-3})
    assert seen[torch.float32] <= 1.0
    assert seen[torch.int64] == 8.0


def test_saving_by_the_clock_changes_nothing(blobs, splits, tmp_path):
    task, config = Classification(blobs, build), BASE | POLICIES["infobatch"]
    often = TrialRules(horizon=1.2, checkpoint_s=1e-9)
    outcomes = [
        declared(advance(worker_of(task, splits, tmp_path / str(rules.checkpoint_s), rules), config, 1.2))
        for rules in (often, TrialRules(horizon=1.2))
    ]
    assert outcomes[0] == outcomes[1]
    assert saved(tmp_path / "1e-09", 0) == saved(tmp_path / "60.0", 0)


def test_a_branch_is_charged_and_thrown_away(blobs, splits, tmp_path):
    """What stays after a rung is the trial as it was where the branch began, but for what it has spent."""
    task, until = Classification(blobs, build), 3.0
    config = BASE | {"batch_size": 8}
    trunk = until * (1 - BRANCH_SHARE)
    branched = advance(
        worker_of(task, splits, tmp_path / "branch", TrialRules(horizon=4, compare="branch")), config, until
    )
    straight = advance(worker_of(task, splits, tmp_path / "ema", TrialRules(horizon=4)), config, trunk)
    left, right = (CheckpointStore(tmp_path / name).latest(0) for name in ("branch", "ema"))
    kept = [name for name in right.tensors if not name.startswith("judged/")]
    assert all(torch.equal(left.tensors[name], right.tensors[name]) for name in kept)
    assert left.state["feeder"] == right.state["feeder"]
    assert branched.fidelity >= until > straight.fidelity
    assert left.fidelity == branched.fidelity
    assert branched.ledger[Label.TRAIN].flops > straight.ledger[Label.TRAIN].flops
    judged = {name for name in left.tensors if name.startswith("judged/")}
    assert any(
        not torch.equal(left.tensors[name], left.tensors[name.replace("judged/", "model/")])
        for name in judged
    )


def test_free_losses_cost_no_pass(blobs, splits, tmp_path):
    task, small_loss = Classification(blobs, build), {"policy": "small_loss", "policy.fraction": 0.5}
    rules = TrialRules(horizon=4.0)
    runs = {
        "infobatch": POLICIES["infobatch"],
        "warm": small_loss | {"policy.warmup": 0.6, "policy.interval": 1.0},
        "cold": small_loss | {"policy.interval": 1.0},
        "first epoch": small_loss | {"policy.warmup": 0.3, "policy.interval": 1.0},
    }
    scored = {}
    for name, policy in runs.items():
        outcome = advance(worker_of(task, splits, tmp_path / name, rules), BASE | policy, until=4.0)
        assert outcome.selections >= 1
        scored[name] = outcome.ledger[Label.SCORE].flops
    assert scored["infobatch"] == scored["warm"] == 0
    assert scored["cold"] > 0
    assert scored["first epoch"] > 0  # losses of the first epoch tell when a sample was seen


def test_the_clock_does_not_decide_when_a_loss_is_looked_at(blobs, splits, tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr(Trial, "look", lambda trial: looks.append(trial.fidelity))
    for name, seconds in (("never", 1e9), ("always", 1e-9)):
        rules = TrialRules(horizon=1.2, checkpoint_s=seconds)
        advance(worker_of(Classification(blobs, build), splits, tmp_path / name, rules), BASE)
    half = len(looks) // 2
    assert half > 0 and looks[:half] == looks[half:]


def test_a_trial_given_up_is_charged_what_its_checkpoint_knows(blobs, splits, tmp_path):
    def worker():
        rules = TrialRules(horizon=1.2, checkpoint_share=0.1)
        return worker_of(Classification(blobs, build), splits, tmp_path, rules)

    assignment = Assignment(0, 0, BASE, 7, 0, 0.0, 1.2)
    with pytest.raises(Killed):
        worker().advance(assignment, Fuse(6))
    store = CheckpointStore(tmp_path)
    place = store.newest(0)
    for _ in range(MAX_STARTS):
        Attempts(store.folder(0)).begin(place.fidelity, 0)
    outcome = worker().advance(assignment, lambda: None)
    assert isinstance(outcome, Failed) and outcome.kind == "crashed"
    epoch = 3 * 2 * (8 * 16 + 16 * 3) * len(splits.train)
    assert outcome.ledger[Label.TRAIN].flops == pytest.approx(place.fidelity * epoch)


def test_a_damaged_checkpoint_ahead_costs_no_later_one(blobs, splits, tmp_path):
    rules = TrialRules(horizon=1.2, checkpoint_share=0.1)
    task, store = Classification(blobs, build), CheckpointStore(tmp_path)
    advance(worker_of(task, splits, tmp_path, rules), BASE, until=1.0)
    (store.newest(0).path / "state.json").unlink()
    with pytest.raises(Killed):
        worker_of(task, splits, tmp_path, rules).advance(Assignment(0, 0, BASE, 7, 0, 0.0, 1.2), Fuse(5))
    assert 0.1 < store.latest(0).fidelity < 1.0
    assert isinstance(advance(worker_of(task, splits, tmp_path, rules), BASE, until=1.2), Reported)
    assert len(list(store.folder(0).glob("e*"))) == 1


def test_a_selector_of_ones_own_travels_with_the_workload(blobs, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "_REGISTRY", dict(selection._REGISTRY))
    selection.register("lowest")(Lowest)
    own = selection.own_selectors(["full", "lowest"])
    assert own == {"lowest": Lowest}
    workload = TrainingWorkload(
        Classification(blobs, build), splits, TrialRules(horizon=1.2), tmp_path, selectors=own
    )
    sent = pickle.dumps(workload)
    selection._REGISTRY.pop("lowest")  # as in a process that has not run what registers it
    pickle.loads(sent)  # noqa: S301  # what we have just written
    assert selection.make_selector("lowest") == Lowest()


class TestJudges:
    """Validation samples at low rungs."""

    def judged(self, blobs, splits, path, until, **rules):
        workload = TrainingWorkload(
            CustomLoop(blobs, own_loop), splits, TrialRules(horizon=2.0, **rules), path, seed=3
        )
        room = workload.worker(workload.bulk)._room
        return room.judging(until, test=False).tolist(), room.judging(until, test=True).tolist()

    def test_low_rungs_are_judged_by_few_and_the_last_by_all(self, blobs, splits, tmp_path):
        few, test = self.judged(blobs, splits, tmp_path, 0.1, eval_least=5)
        more, _ = self.judged(blobs, splits, tmp_path, 1.0, eval_least=5)
        everyone, _ = self.judged(blobs, splits, tmp_path, 2.0, eval_least=5)
        assert len(few) == max(5, int(0.3 * 0.1 * len(splits.train))) < len(more) < len(everyone)
        assert more[: len(few)] == few  # paired: who judges at a rung judges above it
        assert everyone == splits.validation.tolist()
        assert test == splits.test.tolist()

    def test_a_share_without_end_asks_everyone(self, blobs, splits, tmp_path):
        everyone, _ = self.judged(blobs, splits, tmp_path, 0.1, eval_share=float("inf"))
        assert sorted(everyone) == sorted(splits.validation.tolist())

    def test_an_evaluation_is_as_large_as_it_says_and_is_paid_for(self, blobs, splits, tmp_path):
        rules = TrialRules(horizon=2.0, eval_least=5)
        workload = TrainingWorkload(CustomLoop(blobs, own_loop), splits, rules, tmp_path)
        worker = workload.worker(workload.bulk)
        config = {"batch_size": 16, "policy": "full"}
        low = worker.advance(Assignment(0, 0, config, 1, 0, 0.0, 0.2), lambda: None)
        high = worker.advance(Assignment(1, 0, config, 1, 1, 0.2, 2.0), lambda: None)
        judges = [worker._room.judging(until, test=False) for until in (0.2, 2.0)]
        flops = [one.ledger[Label.EVALUATE].flops for one in (low, high)]
        assert flops[0] / flops[1] == pytest.approx(len(judges[0]) / len(judges[1]))
        assert low.score * len(judges[0]) == pytest.approx(round(low.score * len(judges[0])))


def test_a_trial_that_loses_its_gpu_is_begun_again_elsewhere_and_given_up_in_the_end(
    blobs, splits, tmp_path, monkeypatch
):
    """CUDA keeps an error of its kernels: whatever came next in the same process would fail, too."""

    class Asserts(nn.Linear):
        def forward(self, inputs):
            raise RuntimeError("CUDA error: device-side assert triggered")

    def worker():
        return worker_of(
            Classification(blobs, lambda config: Asserts(8, 3)), splits, tmp_path, TrialRules(1.2)
        )

    assignment = Assignment(0, 0, BASE, 7, 0, 0.0, 1.2)
    outcome = worker().advance(assignment, lambda: None)
    assert isinstance(outcome, Failed) and outcome.kind == "error"  # there is no GPU here to lose
    monkeypatch.setattr("autotune.training.workload.device_lost", lambda device: True)
    for _ in range(MAX_STARTS):
        with pytest.raises(DeviceLostError, match="GPU cannot be used any more: RuntimeError: CUDA error"):
            worker().advance(assignment, lambda: None)
    outcome = worker().advance(assignment, lambda: None)
    assert isinstance(outcome, Failed) and outcome.kind == "crashed"


@pytest.mark.parametrize(
    ("device", "works", "lost"), [("cpu", False, False), ("cuda", True, False), ("cuda", False, True)]
)
def test_a_gpu_is_lost_when_not_even_waiting_for_it_works(monkeypatch, device, works, lost):
    def synchronize(which):
        if not works:
            raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("torch.cuda.synchronize", synchronize)
    assert device_lost(torch.device(device)) == lost


def test_a_model_whose_losses_are_of_half_precision_trains(blobs, splits, tmp_path):
    class Half(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs).to(torch.bfloat16)  # as autocast gives it

    worker = worker_of(Classification(blobs, lambda config: Half(8, 3)), splits, tmp_path, TrialRules(1.2))
    outcome = advance(worker, BASE)
    assert isinstance(outcome, Reported), outcome
