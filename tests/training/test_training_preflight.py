import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from autotune.data import Dataset, Splits
from autotune.engines.watchdog import watched
from autotune.errors import ConfigurationError, DataError, SelectorError, SpaceError, StorageError
from autotune.space import Choice, Float, Int, SearchSpace
from autotune.task import Classification, CustomLoop, Regression
from autotune.training.preflight import check, representatives
from autotune.training.reference import reference_flops
from autotune.training.rules import TrialRules
from autotune.training.workload import TrainingWorkload

POLICIES = Choice(
    {
        "full": {},
        "infobatch": {"fraction": Float(0.3, 0.7)},
        "small_loss": {"fraction": Float(0.3, 0.7)},
        "el2n": {"fraction": 0.3},
        "k_center": {"fraction": 0.3},
        "target_alignment": {"fraction": 0.3},
    }
)


def build(config):
    width = config["width"]
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 3))


SPACE = SearchSpace({"lr": Float(1e-3, 1.0, log=True), "width": Int(4, 64, log=True), "policy": POLICIES})


@pytest.fixture
def workload(blobs, splits, tmp_path):
    def make(model=build, splits=splits, **task):
        return of(Classification(blobs, model, **task), splits)

    def of(task, splits):
        return TrainingWorkload(task, splits, TrialRules(horizon=3.0), tmp_path / "checkpoints")

    make.of = of
    return make


def test_what_works_passes_and_leaves_nothing(workload, tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check(workload(), SPACE)
    assert torch.equal(torch.get_rng_state(), before)
    assert list((tmp_path / "checkpoints").iterdir()) == []


class Extra(nn.Linear):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


def with_buffer(buffer):
    model = build({"width": 8})
    model.register_buffer("table", buffer)
    return model


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda config: nn.Sequential(Extra(8, 3)), "hold the model: .*'0._extra_state' must be a tensor"),
        (lambda config: with_buffer(torch.zeros(2, dtype=torch.complex128)), "'table', of torch.complex128"),
        (lambda config: with_buffer(torch.eye(2).to_sparse()), "'table', .*sparse_coo; make it a dense"),
    ],
)
def test_a_model_that_no_checkpoint_holds_is_found_before_its_first_rung(workload, model, said):
    with pytest.raises(ConfigurationError, match=said):
        check(workload(model), SearchSpace({"lr": Float(1e-3, 1.0)}))


def test_every_option_is_tried(workload):
    tried = [config.get("policy") for config in representatives(SPACE)]
    assert set(tried) == set(POLICIES.values)


def test_the_reference_pass_is_counted(workload, splits):
    w = workload()
    forward = 2 * (8 * 10 + 10 * 3)
    assert reference_flops(w.room(w.task), {"width": 10}) == 3 * forward * len(splits.train)


@pytest.mark.parametrize("read", [lambda c: c["width"], lambda c: c.get("width"), lambda c: {**c}["width"]])
def test_a_parameter_is_read_however_it_is_read(workload, read):
    check(workload(lambda config: build({"width": read(config)})), SPACE)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"momentun": Float(0, 0.9)}, "parameter 'momentun' is never read.*did you mean 'momentum'"),
        ({"widht": 16}, "parameter 'widht' is never read.*did you mean 'width'"),
        (
            {"momentum": Float(0.0, 1.5)},
            r"'momentum' can be 1.5: momentum must be in \[0, 1\).*change its range",
        ),
        ({"batch_size": Int(0, 64)}, "'batch_size' can be 0: batch_size must be at least 1"),
        ({"optimizer": Choice(["sgd", "adam"])}, "unknown optimizer 'adam'; did you mean 'adamw'"),
        ({"schedule": "cosinus"}, "unknown schedule 'cosinus'; did you mean 'cosine'"),
    ],
)
def test_a_space_that_cannot_work(workload, more, text):
    with pytest.raises(SpaceError, match=text):
        check(workload(), SPACE | more)


def refusing(config):
    raise ZeroDivisionError("no width at all")


def moody(config):
    if config["width"] > 10:
        raise ValueError("too wide")
    return build(config)


def few_classes(config):
    return nn.Linear(8 + 0 * config["width"], 2)


def poisoned(config):
    model = build(config)
    nn.init.constant_(model[0].weight, float("nan"))
    return model


@pytest.mark.parametrize(
    ("model", "task", "text"),
    [
        (
            refusing,
            {},
            r"(\d+) of \1 configurations .*; the reference, .*ZeroDivisionError: no width .*refusing\)",
        ),
        (poisoned, {}, "losses of an untrained model are .*nan.*look for NaN or huge values in the inputs"),
        (
            few_classes,
            {},
            r"one logit for each of the 3 classes, \(samples, 3\), got \(8, 2\); change its last",
        ),
        (
            build,
            {"loss": lambda m, b: m(b.inputs).mean()},
            r"one value per sample, \(8,\), got \(\); use reduction",
        ),
        (lambda c: nn.LSTM(8, 1 + 0 * c["width"]), {}, "must return one tensor, got tuple; wrap it"),
        (build, {"loss": lambda m, b: 1.0}, "got float"),
    ],
)
def test_a_task_that_cannot_work(workload, model, task, text):
    with pytest.raises(ConfigurationError, match=text):
        check(workload(model, **task), SPACE)


def test_a_model_that_fails_sometimes_is_let_through(workload):
    check(workload(moody), SPACE)


class Headless(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 3))

    def forward(self, inputs):
        return inputs @ self.weight


def only(policy):
    return SearchSpace({"lr": 0.1, "policy": Choice({policy: {"fraction": 0.3}})})


@pytest.mark.parametrize("policy", ["k_center", "target_alignment"])
def test_a_signal_needs_a_head(workload, policy):
    with pytest.raises(
        SelectorError, match=r"has no nn.Linear.*name its last linear layer by the task's head="
    ):
        check(workload(lambda config: Headless()), only(policy))
    check(workload(lambda config: Headless()), only("el2n"))


def test_a_head_must_exist(workload):
    with pytest.raises(SelectorError, match="'nowhere' names no module of Sequential; its linear"):
        check(workload(lambda c: build({"width": 4}), head="nowhere"), only("k_center"))


def test_looking_at_an_empty_target_split(blobs, workload):
    with pytest.raises(
        SelectorError, match="'target_alignment': the target split, which it looks at, is empty"
    ):
        check(workload(splits=Splits.make(blobs, target=0, validation=0.2)), SPACE)


def test_targets_of_another_kind(blobs, workload):
    numbers = Dataset.from_arrays(blobs.inputs, blobs.inputs[:, 0])
    splits = Splits.make(numbers, validation=0.2)
    with pytest.raises(DataError, match=r"Classification needs integer class ids.*use Regression"):
        check(workload.of(Classification(numbers, build), splits), SPACE)
    with pytest.raises(DataError, match="Regression needs real numbers"):
        check(workload.of(Regression(blobs, build), splits), SPACE)
    regression = workload.of(Regression(numbers, lambda config: nn.Linear(8, 1)), splits)
    check(regression, only("small_loss"))
    with pytest.raises(SelectorError, match=r"policy 'el2n'.*needs class ids"):
        check(regression, only("el2n"))


def test_outputs_of_another_shape(blobs, workload):
    numbers = Dataset.from_arrays(blobs.inputs, blobs.inputs[:, :2])
    splits = Splits.make(numbers, validation=0.2)
    with pytest.raises(DataError, match=r"outputs must have the shape of the targets \(8, 2\), got \(8, 1\)"):
        check(workload.of(Regression(numbers, lambda config: nn.Linear(8, 1)), splits), only("random"))


def cross_entropy(model, batch):
    return nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")


def own_loop(session, late=lambda step: None, metric="accuracy"):
    model = build({"width": 4})
    optimizer = torch.optim.SGD(model.parameters(), lr=session.config["lr"])
    session.attach(model, optimizer)
    for step, batch in enumerate(session.loader(16)):
        optimizer.zero_grad()
        cross_entropy(model, batch).mean().backward()
        optimizer.step()
        late(step)
    right = sum(int((model(b.inputs).argmax(1) == b.targets).sum()) for b in session.evaluation())
    session.report(**{metric: right / session.evaluation_size})


def test_an_own_loop_that_never_trains_is_refused(blobs, splits, workload):
    loop = workload.of(CustomLoop(blobs, lambda session: session.report(accuracy=1.0)), splits)
    with pytest.raises(ConfigurationError, match=r"without a step; call session.attach"):
        check(loop, only("random"))


def test_own_loops_are_probed_too(blobs, splits, workload):
    loop = workload.of(CustomLoop(blobs, own_loop), splits)
    check(loop, only("infobatch") | {"schedule": Choice({"cosine": {"warmup": 0.1}, "constant": {}})})
    check(loop, only("k_center"))
    with pytest.raises(SelectorError, match="per-sample losses; give the task a loss="):
        check(loop, only("small_loss"))
    check(workload.of(CustomLoop(blobs, own_loop, loss=cross_entropy), splits), only("small_loss"))


def test_a_parameter_that_an_own_loop_does_not_read_is_refused(blobs, splits, workload):
    loop = workload.of(CustomLoop(blobs, own_loop), splits)
    with pytest.raises(
        SpaceError,
        match=r"parameter 'lrr' is never read.*did you mean 'lr'\?.*by the end of the loop's first step",
    ):
        check(loop, only("random") | {"lrr": 0.1})


def test_an_own_loop_may_read_in_its_first_step_its_evaluation_or_a_branch(blobs, splits, workload):
    def reading(session):
        own_loop(session, late=lambda step: session.config["noise"])
        assert session.config.get("smooth", 0) >= 0

    space = only("random") | {"noise": 0.5, "kind": Choice({"a": {"smooth": Float(0, 1)}, "b": {}})}
    with pytest.raises(SpaceError, match="parameter 'kind' is never read"):
        check(workload.of(CustomLoop(blobs, reading), splits), space)
    branching = lambda session: (reading(session), session.config["kind"], session.config.get("kind.smooth"))  # noqa: E731
    check(workload.of(CustomLoop(blobs, branching), splits), space)


def test_what_lies_under_a_branch_that_could_not_be_tried_is_not_judged(blobs, splits, workload):
    def loop(session):
        if session.config["kind"] == "huge":
            raise MemoryError("for lack of a larger machine")
        own_loop(session)

    space = only("random") | {"kind": Choice({"small": {}, "huge": {"shards": Int(2, 8)}})}
    check(workload.of(CustomLoop(blobs, loop), splits), space)


@pytest.mark.parametrize(
    ("late", "metric", "text"),
    [
        (None, "acuracy", "report lacks the score; unknown metric 'accuracy'; did you mean 'acuracy'"),
        (lambda step: 1 / 0, "accuracy", r"1 of 1 config.*ZeroDivisionError: .*test_training_preflight"),
    ],
)
def test_what_goes_wrong_later_in_an_own_loop_is_found_first(blobs, splits, workload, late, metric, text):
    def loop(session):
        own_loop(session, late or (lambda step: None), metric)

    with pytest.raises(ConfigurationError, match=text):
        check(workload.of(CustomLoop(blobs, loop), splits), only("random"))


def test_a_rehearsal_is_one_step_on_few_samples_and_leaves_nothing(tmp_path, workload):
    rng = np.random.default_rng(0)
    many = Dataset.from_arrays(
        rng.normal(size=(5000, 8)).astype(np.float32), np.repeat([0, 1, 2, 1, 0], 1000)
    )
    seen = []

    def loop(session):
        own_loop(session, late=seen.append)
        seen.append(session.evaluation_size)
        seen.append(len(torch.cat([batch.targets for batch in session.evaluation()]).unique()))

    torch.manual_seed(3)
    before = torch.get_rng_state()
    check(workload.of(CustomLoop(many, loop), Splits.make(many)), only("el2n") | {"policy": "random"})
    few, classes = seen[1:]
    assert (seen[0], classes) == (0, 3)
    assert 128 <= few <= 256
    assert torch.equal(torch.get_rng_state(), before)
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    ("model", "got"),
    [
        (lambda config: None, "None"),
        (lambda config: nn.Linear, "the class Linear"),
        (lambda config: "resnet", "'resnet'"),
    ],
)
def test_a_factory_that_returns_no_model_is_told(workload, model, got):
    with pytest.raises(ConfigurationError, match=f"factory .*lambda.* must return an nn.Module, got {got}"):
        check(workload(model), only("random"))


def test_a_loop_that_attaches_no_model_is_told(blobs, splits, workload):
    def swapped(session):
        model = build({"width": 4})
        session.attach(torch.optim.SGD(model.parameters(), lr=0.1), model)

    with pytest.raises(
        ConfigurationError, match=r"needs a model of type Module, got SGD; call .*\(model, opt"
    ):
        check(workload.of(CustomLoop(blobs, swapped), splits), only("random"))


def test_a_model_that_hangs_is_told_before_the_study(workload):
    def hanging(config):
        time.sleep(30)

    hangs = pytest.raises(ConfigurationError, match=r"would hang: .*watchdog_s=0.1 s.*in hanging\)")
    with hangs, watched(0.1) as beat:
        check(workload(hanging), only("random"), beat)


YAML = """\
space:
  lr: {float: [1e-3, 1.0], log: true}
  width: 8
  optimizer:
    choice:
      sgd: {momentum: {float: [0.0, 1.5]}}
      adamw: {}
  schedule: {choice: [constant, cosinus]}
  policy:
    choice:
      full: {}
      target_alignment: {fraction: 0.3}
  widht: 8
"""


@pytest.mark.parametrize(
    ("mended", "place", "text"),
    [
        ({}, "6:13", r"'optimizer.momentum' can be 1.5"),
        ({"1.5": "0.9"}, "8:33", "unknown schedule 'cosinus'"),
        ({"1.5": "0.9", "cosinus": "cosine"}, "12:7", "'target_alignment': the target split"),
        (
            {"1.5": "0.9", "cosinus": "cosine", "target_alignment": "random"},
            "13:3",
            "parameter 'w.*' is never read",
        ),
        (
            {"1.5": "0.9", "[1e-3": "[-1", ", log: true": ""},
            "2:3",
            r"'lr' can be -1.0: lr must be .* above 0",
        ),
        ({"momentum: {": "lr: {", "1.5": "0.9", "[0.0": "[0.1", "cosinus": "cosine"}, "2:3", "both given"),
    ],
)
def test_what_is_wrong_in_a_space_from_yaml_is_told_with_its_line(blobs, workload, mended, place, text):
    written = YAML
    for old, new in mended.items():
        written = written.replace(old, new)
    space = SearchSpace.from_yaml(written, "study.yaml", section="space")
    with pytest.raises(ConfigurationError, match=rf"^study\.yaml:{place}: .*{text}"):
        check(workload(splits=Splits.make(blobs, target=0, validation=0.2)), space)


def test_a_path_that_cannot_be_written(blobs, splits, tmp_path):
    (tmp_path / "file").touch()
    workload = TrainingWorkload(
        Classification(blobs, build), splits, TrialRules(horizon=1.0), tmp_path / "file" / "checkpoints"
    )
    with pytest.raises(StorageError, match="cannot write"):
        check(workload, SPACE)


def test_a_device_that_is_not_there(blobs, splits, tmp_path):
    rules = TrialRules(horizon=1.0, device="cuda:77")
    with pytest.raises(ConfigurationError, match="device 'cuda:77' cannot be used here"):
        check(TrainingWorkload(Classification(blobs, build), splits, rules, tmp_path), SPACE)


def test_inputs_are_not_read_as_numbers_by_accident(tmp_path, workload):
    rng = np.random.default_rng(0)
    tokens = Dataset.from_arrays(rng.integers(0, 9, (400, 5)), rng.integers(0, 2, 400))
    model = lambda config: nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 2))  # noqa: E731
    check(workload.of(Classification(tokens, model), Splits.make(tokens)), only("el2n"))


def timed_loop(session):
    model = build({"width": 8})
    session.attach(model, torch.optim.SGD(model.parameters(), lr=session.config["lr"]))
    for batch in session.loader(64):
        model(batch.inputs).sum().backward()
        session.observe(batch.ids, torch.zeros(len(batch)))
    session.report(accuracy=0.5, latency_ms=7.0)


def test_an_own_loop_must_report_what_a_plan_asks_for_unless_it_can_be_measured(workload, blobs, splits):
    made = workload.of(CustomLoop(blobs, timed_loop), splits)
    check(replace(made, asked=("latency_ms", "parameters", "compute")), SearchSpace({"lr": 0.1}))
    with pytest.raises(ConfigurationError, match="did you mean 'latency_ms'"):
        check(replace(made, asked=("latency",)), SearchSpace({"lr": 0.1}))
