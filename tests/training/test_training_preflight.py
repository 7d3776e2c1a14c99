import numpy as np
import pytest
import torch
from torch import nn

from autotune.data import Dataset, Splits
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
        ({"momentun": Float(0, 0.9)}, "nobody reads parameter 'momentun'.*did you mean 'momentum'"),
        ({"widht": 16}, "nobody reads parameter 'widht'.*did you mean 'width'"),
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
            r"none of \d+ configurations can be trained.*ZeroDivisionError: no width at all \(.*refusing\)",
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
    with pytest.raises(SelectorError, match="'target_alignment' looks at the target split, which is empty"):
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


def own_loop(session):
    model = build({"width": 4})
    session.attach(model, torch.optim.SGD(model.parameters(), lr=session.config["lr"]))
    for _ in session.loader(16):
        raise AssertionError("nothing may be trained in a preflight")


def test_an_own_loop_that_never_trains_is_refused(blobs, splits, workload):
    loop = workload.of(CustomLoop(blobs, lambda session: session.report(accuracy=1.0)), splits)
    with pytest.raises(ConfigurationError, match=r"without a step; call session.attach"):
        check(loop, only("random"))


def test_own_loops_are_probed_too(blobs, splits, workload):
    loop = workload.of(CustomLoop(blobs, own_loop), splits)
    check(loop, only("infobatch") | {"whatever": 1})
    check(loop, only("k_center"))
    with pytest.raises(SelectorError, match="per-sample losses; give the task a loss="):
        check(loop, only("small_loss"))
    loss = lambda model, batch: nn.functional.cross_entropy(  # noqa: E731
        model(batch.inputs), batch.targets, reduction="none"
    )
    check(workload.of(CustomLoop(blobs, own_loop, loss=loss), splits), only("small_loss"))


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
