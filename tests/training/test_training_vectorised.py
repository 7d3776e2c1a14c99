"""Trials side by side: the same results as one after another, and together only where that is exact."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autotune.checkpoint import CheckpointStore
from autotune.engines.inprocess import InProcess
from autotune.events import Assigned, Failed, Proposed, Reported
from autotune.log import read_events
from autotune.scheduling.asha import ASHA
from autotune.searching.random import RandomSearch
from autotune.space import Choice, Float, SearchSpace
from autotune.study.plan import Budget, Confirm, Plan
from autotune.study.study import Study
from autotune.task import Batch, Classification, CustomLoop
from autotune.testing.workloads import Fuse, Killed, declared, saved
from autotune.training.rules import TrialRules
from autotune.training.settings import OptimizerSettings
from autotune.training.step import Step
from autotune.training.vectorised import kinds
from autotune.training.vectorised.race import SAMPLES, Race
from autotune.training.vectorised.stack import Stack, stacked
from autotune.training.vectorised.update import RULES, rule_of
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

RUNGS = (0.4, 1.2)
CONFIGS = (
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3, "schedule": "cosine"},
    {"lr": 0.1, "momentum": 0.0, "policy": "fresh_random", "policy.fraction": 0.3},
    {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "grad_clip": 0.5, "schedule.warmup": 0.1},
    {"lr": 0.02, "momentum": 0.8, "grad_clip": 0.1, "policy": "infobatch", "policy.fraction": 0.5},
    {"optimizer": "adamw", "lr": 0.003, "batch_size": 13, "label_smoothing": 0.1},
    {"optimizer": "adamw", "lr": 0.005, "policy": "small_loss", "policy.fraction": 0.3},
    {"lr": 0.03, "batch_size": 14, "label_smoothing": 0.1, "policy": "el2n", "policy.fraction": 0.4},
    {"lr": 0.04, "batch_size": 20, "policy": "aum", "policy.fraction": 0.5},
)


def build(config):
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))


@pytest.fixture
def make(blobs, splits):
    def made(path, task=None, **rules):
        task = task or Classification(blobs, build)
        return TrainingWorkload(task, splits, TrialRules(RUNGS[-1], checkpoint_share=0.1, **rules), path)

    return made


@pytest.fixture
def together(monkeypatch):
    """Every step that can be is made together, whatever is faster; how many rows each time."""
    rows = []
    update = Stack.update

    def counting(stack, steps, gradients):
        rows.append(len(steps))
        update(stack, steps, gradients)

    monkeypatch.setattr(Race, "together", True)
    monkeypatch.setattr(Stack, "update", counting)
    return rows


def assignment(config, trial, rung):
    config = {"batch_size": 16} | config
    since = RUNGS[rung - 1] if rung else 0.0
    return Assignment(10 * trial + rung, trial, config, 7 + trial, rung, since, RUNGS[rung])


def one_by_one(workload, configs):
    worker = workload.worker(workload.bulk)
    given = [assignment(config, i, rung) for i, config in enumerate(configs) for rung in range(len(RUNGS))]
    return {a.id: worker.advance(a, lambda: None) for a in given}


def side_by_side(workload, configs, beat=lambda: None, rungs=(0, 1)):
    """As a study would: each trial is promoted when it has answered, while others are on their way."""
    lanes = workload.worker(workload.bulk).lanes()
    for trial, config in enumerate(configs):
        lanes.enter(assignment(config, trial, rungs[0]))
    answers, inside = {}, len(configs)
    while inside:
        for answer in lanes.advance(beat):
            answers[answer.assignment] = answer
            if isinstance(answer, Reported) and answer.rung < rungs[-1]:
                lanes.enter(assignment(configs[answer.trial], answer.trial, answer.rung + 1))
            else:
                inside -= 1
    return answers


def assert_equal(answers, expected):
    """All that is declared to the last bit, what is measured of a model up to rounding."""
    assert answers.keys() == expected.keys()
    for number, answer in answers.items():
        got, wanted = declared(answer), declared(expected[number])
        got.pop("score"), wanted.pop("score")
        assert got.pop("metrics") == pytest.approx(wanted.pop("metrics"), abs=1e-4)
        assert got == wanted


@pytest.mark.parametrize("compare", ["ema", "branch"])
def test_side_by_side_is_one_by_one(make, tmp_path, together, compare):
    answers = side_by_side(make(tmp_path / "side", compare=compare), CONFIGS)
    assert_equal(answers, one_by_one(make(tmp_path / "one", compare=compare), CONFIGS))
    assert sum(together) > 40 and max(together) >= 5
    for trial in range(len(CONFIGS)):
        side, one = (CheckpointStore(tmp_path / name).latest(trial) for name in ("side", "one"))
        assert side.tensors.keys() == one.tensors.keys()
        assert side.state["optimizer"]["groups"] == one.state["optimizer"]["groups"]
        for name, tensor in one.tensors.items():
            assert torch.allclose(
                side.tensors[name].double(), tensor.double(), rtol=1e-3, atol=1e-4, equal_nan=True
            ), name


def test_seconds_are_shared_out(make, tmp_path, together):
    import time

    began = time.perf_counter()
    answers = side_by_side(make(tmp_path), CONFIGS)
    assert 0 < sum(answer.ledger.total.seconds for answer in answers.values()) <= time.perf_counter() - began


@pytest.mark.parametrize("fault", ["raises", "diverges", "builds nothing"])
def test_a_fault_is_that_of_one_lane(make, blobs, tmp_path, together, fault):
    class Breaks(Classification):
        def losses(self, model, batch, smoothing=0.0):
            if model[2].out_features == 4 and bool((batch.ids == batch.ids.max()).sum() > 0):
                raise ValueError("as asked")
            return super().losses(model, batch, smoothing)

    def wide(config):
        if config.get("none"):
            return None
        return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4 if config.get("wide") else 3))

    fault, kind = {
        "raises": ({"wide": True}, "error"),
        "diverges": ({"lr": 1e38}, "diverged"),
        "builds nothing": ({"none": True}, "error"),
    }[fault]
    configs = [*CONFIGS[:3], fault]
    task = Breaks(blobs, wide)
    answers = side_by_side(make(tmp_path / "side", task), configs)
    failed = [answer for answer in answers.values() if isinstance(answer, Failed)]
    assert [(answer.trial, answer.kind) for answer in failed] == [(3, kind)]
    sound = one_by_one(make(tmp_path / "one", task), configs[:3])
    assert_equal({n: a for n, a in answers.items() if a.trial < 3}, sound)
    assert together


def test_what_was_killed_in_lanes_goes_on_alone(make, tmp_path, together):
    workload = make(tmp_path / "killed")
    with pytest.raises(Killed):
        side_by_side(workload, CONFIGS[:4], Fuse(40), rungs=(1, 1))
    assert together and all(saved(tmp_path / "killed", trial) for trial in range(4))
    resumed, whole = workload.worker(workload.bulk), make(tmp_path / "whole")
    fresh = whole.worker(whole.bulk)
    for trial, config in enumerate(CONFIGS[:4]):
        given = assignment(config, trial, 1)
        got, wanted = (worker.advance(given, lambda: None) for worker in (resumed, fresh))
        assert_equal({0: got}, {0: wanted})


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.passes = nn.Linear(8, 3), 0

    def forward(self, inputs):
        self.passes += 1
        return self.layer(inputs)


class Centred(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs - inputs.mean(0))


class Branching(nn.Linear):
    def forward(self, inputs):
        outputs = super().forward(inputs)
        return outputs if outputs.sum() > 0 else outputs * 2


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, inputs):
        return self.used(inputs)


def frozen():
    model = build({})
    model[0].weight.requires_grad_(False)
    return model


class Half16(nn.Module):
    """Weights of which a step counter cannot get past 256."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).bfloat16()

    def forward(self, inputs):
        return self.layers(inputs.bfloat16()).float()


ALONE = {
    "dropout": lambda: nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 3)),
    "statistics of the batch": lambda: Centred(8, 3),
    "a count of its passes": Counting,
    "a branch on values": lambda: Branching(8, 3),
    "idle weights": Half,
    "frozen weights": frozen,
    "half precision": lambda: Half16(),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_stacked_trains_exactly_as_alone(make, blobs, tmp_path, together, name):
    task = Classification(blobs, lambda config: ALONE[name]())
    answers = side_by_side(make(tmp_path / "side", task), CONFIGS[:3])
    expected = one_by_one(make(tmp_path / "one", task), CONFIGS[:3])
    assert {n: declared(a) for n, a in answers.items()} == {n: declared(a) for n, a in expected.items()}
    assert not together


def test_a_user_s_own_loop_runs_where_its_turn_is(make, blobs, tmp_path):
    def train(session):
        model = build({})
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        session.attach(model, optimizer)
        for batch in session.loader(16):
            losses = nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
        session.report(accuracy=0.5)

    answers = side_by_side(make(tmp_path / "side", CustomLoop(blobs, train)), [{}, {}])
    expected = one_by_one(make(tmp_path / "one", CustomLoop(blobs, train)), [{}, {}])
    assert {n: declared(a) for n, a in answers.items()} == {n: declared(a) for n, a in expected.items()}


def test_where_memory_runs_out_steps_are_made_alone(make, tmp_path, monkeypatch):
    tried = []

    def full(*given, **named):
        tried.append(True)
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Race, "together", True)
    monkeypatch.setattr(Stack, "gradients", full)
    answers = side_by_side(make(tmp_path / "side"), CONFIGS[:3])
    expected = one_by_one(make(tmp_path / "one"), CONFIGS[:3])
    assert {n: declared(a) for n, a in answers.items()} == {n: declared(a) for n, a in expected.items()}
    assert len(tried) == 1


def test_lanes_leave_torch_s_random_numbers_alone(make, tmp_path, together):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    workload = make(tmp_path)
    lanes = workload.worker(workload.bulk).lanes()
    for trial, config in enumerate(CONFIGS[:4]):
        lanes.enter(assignment(config, trial, 0))
    for _ in range(3):
        lanes.advance(lambda: None)
    lanes.leave(0)
    lanes.close()
    assert lanes.advance(lambda: None) == []
    assert torch.equal(torch.get_rng_state(), before)


def test_a_study_decides_the_same_with_lanes(blobs, splits, tmp_path, together):
    space = SearchSpace(
        {"lr": Float(1e-3, 1.0, log=True), "optimizer": Choice(["sgd", "adamw"]), "batch_size": 16}
    )
    plan = Plan(
        Budget(trials=9), ASHA(horizon=1.0), RandomSearch(), Confirm(leaders=1, seeds=2), ordered_workers=4
    )
    decided = []
    for name, lanes in (("one", 1), ("four", 4)):
        task = Classification(blobs, build, splits=splits)
        Study(task, space, tmp_path / name, plan, InProcess(lanes=lanes)).run()
        events = read_events(tmp_path / name / "log")
        decided.append([event for event in events if isinstance(event, Proposed | Assigned)])
    assert decided[0] == decided[1]
    assert together


SETTINGS = st.builds(
    OptimizerSettings,
    name=st.sampled_from(["sgd", "adamw"]),
    lr=st.floats(1e-4, 0.3),
    momentum=st.sampled_from([0.0, 0.5, 0.95]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 1e-2]),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(SETTINGS, min_size=1, max_size=4), st.integers(0, 2**16))
def test_rules_are_those_of_torch(found, seed):
    """Each row with settings of its own, against torch's optimizer on that row."""
    generator = torch.Generator().manual_seed(seed)
    for kind in RULES:
        chosen = [one for one in found if one.name == kind.__name__.lower()]
        weights = torch.randn(len(chosen), 6, generator=generator)
        models = [nn.Linear(6, 1, bias=False) for _ in chosen]
        for model, row in zip(models, weights, strict=True):
            model.weight.data = row.clone().unsqueeze(0)
        optimizers = [one.build(model) for one, model in zip(chosen, models, strict=True)]
        for count in range(1, 6):
            gradients = torch.randn(len(chosen), 6, generator=generator)
            for model, optimizer, row in zip(models, optimizers, gradients, strict=True):
                model.weight.grad = row.clone().unsqueeze(0)
                optimizer.step()
            if chosen:
                rule = rule_of(optimizers[0])
                if count == 1:
                    states = {name: torch.zeros_like(weights) for name in rule.states}
                numbers = torch.tensor([rule.numbers(optimizer.param_groups[0]) for optimizer in optimizers])
                counts = torch.full((len(chosen), 1), float(count))
                rule.step(weights, gradients, states, numbers.t().unsqueeze(2).unbind(), counts)
        for model, row in zip(models, weights, strict=True):
            assert torch.allclose(model.weight.data[0], row, rtol=1e-4, atol=1e-5)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2))
def test_rows_are_filled_up_at_weight_0(lengths, padding):
    batches = [
        Batch(torch.arange(n), torch.randn(n, 2, 3), torch.arange(n) % 2, torch.rand(n) + 0.5)
        for n in lengths
    ]
    rows, shares = stacked(batches, padding)
    assert shares.shape == (len(lengths), max(lengths) + padding) and rows.inputs.shape[2:] == (2, 3)
    for row, batch in enumerate(batches):
        n = len(batch)
        assert torch.equal(rows.inputs[row, :n], batch.inputs) and torch.equal(rows.ids[row, :n], batch.ids)
        assert torch.allclose(shares[row, :n], batch.weights / n)
        assert not shares[row, n:].any() and (rows.inputs[row, n:] == batch.inputs[-1]).all()


def test_a_kind_is_of_one_shape_and_of_one_size_of_batches():
    def step(size, width=4, smoothing=0.0):
        batch = Batch(torch.arange(size), torch.zeros(size, 8), torch.zeros(size), torch.ones(size))
        model = nn.Linear(8, width)
        return Step(None, model, torch.optim.SGD(model.parameters(), lr=0.1), batch, smoothing)

    same = {
        kinds.kind_of(step(size), {"lr": size, "policy": "full", "policy.fraction": 1})
        for size in (17, 24, 32)
    }
    others = {
        kinds.kind_of(step(33), {}),
        kinds.kind_of(step(32, width=5), {}),
        kinds.kind_of(step(32, smoothing=0.1), {}),
        kinds.kind_of(step(32), {"act": "relu"}),
    }
    assert len(same) == 1 and len(others) == 4 and not same & others


@pytest.mark.parametrize("faster", [True, False])
def test_a_race_is_won_by_the_faster(monkeypatch, faster):
    race, now = Race(torch.device("cpu")), [0.0]
    monkeypatch.setattr(Race, "_now", lambda race: now[0])
    for rows in range(4, 4 + 2 * SAMPLES):
        seconds = 1.0 if race.together == faster else 1.2
        with race.round(rows):
            now[0] += rows * seconds
    assert race.together is faster
