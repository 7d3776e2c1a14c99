"""The small parts of a trial, each by its law."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autotune.errors import CheckpointError, ConfigurationError, SelectorError
from autotune.ledger import Label
from autotune.training.attempts import Attempts
from autotune.training.compare import WINDOW, Average, wearing
from autotune.training.eager import SGD, AdamW
from autotune.training.flops import forward_flops
from autotune.training.meter import COUNTED, Meter
from autotune.training.parts import ModelPart, OptimizerPart, capture, restore
from autotune.training.rules import TrialRules
from autotune.training.samples import Samples
from autotune.training.settings import TRAINING_NAMES, RateSchedule, Settings
from autotune.training.watching import Watched

CPU = torch.device("cpu")

# settings


def test_defaults_and_both_spellings():
    assert Settings.from_config({}).optimizer.name == "sgd"
    nested = {"optimizer": "adamw", "optimizer.lr": 0.3, "optimizer.weight_decay": 0.1, "batch_size": 8}
    flat = {"optimizer": "adamw", "lr": 0.3, "weight_decay": 0.1, "batch_size": 8}
    assert Settings.from_config(nested) == Settings.from_config(flat)
    assert (nested.keys() | flat.keys()) <= TRAINING_NAMES


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"lr": 0.0}, "lr must be a finite number above 0, got 0.0"),
        ({"lr": math.inf}, "lr must be a finite number"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"lr": 0.1, "optimizer.lr": 0.1}, "'lr' and 'optimizer.lr' are both given"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"weight_decay": -1}, "weight_decay must be finite and at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 1.5}, "batch_size must be a whole number, got 1.5"),
        ({"batch_size": True}, "batch_size must be a number"),
        ({"schedule": "step"}, "unknown schedule 'step'"),
        ({"schedule.warmup": 1.0}, r"schedule.warmup must be in \[0, 1\)"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\)"),
        ({"grad_clip": -0.5}, "grad_clip must be finite and at least 0"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; did you mean 'adamw'"),
    ],
)
def test_what_cannot_work_says_so(config, text):
    with pytest.raises(ConfigurationError, match=text):
        Settings.from_config(config)


@given(st.sampled_from(["constant", "linear", "cosine"]), st.floats(0, 0.9), st.floats(0, 2))
def test_rates_stay_between_nothing_and_all(kind, warmup, progress):
    assert 0.0 <= RateSchedule(kind, warmup).factor(progress) <= 1.0


def test_rates_rise_and_fall():
    cosine = RateSchedule("cosine", 0.2)
    assert [round(cosine.factor(p), 3) for p in (0.0, 0.1, 0.2, 0.6, 1.0)] == [0.01, 0.5, 1.0, 0.5, 0.0]
    assert RateSchedule("linear").factor(0.25) == 0.75
    assert RateSchedule().idle


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"horizon": 0}, "horizon must be"),
        ({"compare": "raw"}, "compare must be 'ema' or 'branch', got 'raw'"),
        ({"checkpoint_share": 0}, r"checkpoint_share must be in \(0, 1\]"),
        ({"checkpoint_s": 0}, "checkpoint_s must be above 0"),
        ({"eval_batch": 0}, "eval_batch must be at least 1"),
        ({"gradient_width": 0}, "gradient_width must be at least 1, got 0"),
        ({"gradient_layers": "head"}, "gradient_layers must be a tuple of names, got the text 'head'"),
    ],
)
def test_rules_that_cannot_work_say_so(rules, text):
    with pytest.raises(ConfigurationError, match=text):
        TrialRules(**{"horizon": 1.0} | rules)


# meter


@given(st.lists(st.tuples(st.sampled_from(list(Label)), st.integers(0, 9)), max_size=30))
def test_every_second_has_exactly_one_label(spans):
    now = [100.0]
    meter = Meter(lambda: now[0])
    expected = dict.fromkeys(Label, 0.0)
    for label, seconds in spans:
        with meter.measure(label):
            now[0] += seconds
        now[0] += 1
        expected[label] += seconds
        expected[Label.OVERHEAD] += 1
    ledger = meter.ledger()
    assert {label: ledger[label].seconds for label in Label} == expected
    assert ledger.total.seconds == now[0] - 100


@given(st.lists(st.tuples(st.sampled_from(list(Label)), st.integers(1, 9)), max_size=30), st.integers(0, 30))
def test_an_account_goes_on_where_it_was_saved(charges, cut):
    whole, first, second = Meter(), Meter(), Meter()
    for label, flops in charges:
        whole.charge(label, flops)
    for label, flops in charges[:cut]:
        first.charge(label, flops)
    second.restore(*first.capture())
    for label, flops in charges[cut:]:
        second.charge(label, flops)
    assert second.counted == whole.counted == sum(flops for label, flops in charges if label in COUNTED)
    assert all(second.ledger()[label].flops == whole.ledger()[label].flops for label in Label)


# flops


def test_flops_are_those_of_the_arithmetic():
    assert forward_flops(nn.Linear(6, 4), torch.ones(2, 6)) == 2 * 6 * 4
    conv = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
    assert forward_flops(conv, torch.ones(2, 3, 10, 10)) == 2 * 3 * 8 * 9 * 100
    assert torch.equal(conv[1].running_mean, torch.zeros(8))
    assert conv.training


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.LSTM(8, 16, batch_first=True)

    def forward(self, inputs):
        return self.cells(inputs)[0]


@pytest.mark.parametrize(
    ("model", "width", "flops"),
    [
        (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 16, 20 * (64 * 16 + 32 * 32) + 6400),
        (Recurrent(), 8, 20 * 4 * (8 * 16 + 16 * 16)),
    ],
)
def test_fused_operators_are_counted_too(model, width, flops):
    assert forward_flops(model, torch.randn(2, 10, width)) == flops
    assert torch.backends.mkldnn.enabled
    assert torch.is_grad_enabled()


def test_a_model_without_arithmetic_is_charged_by_its_parameters():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones(5))

        def forward(self, inputs):
            return inputs * self.factor

    assert forward_flops(Scale(), torch.ones(2, 5)) == 10


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sparse_gradients_are_taken(momentum):
    model = nn.EmbeddingBag(5, 2, sparse=True)
    optimizer = Settings.from_config({"lr": 0.1, "momentum": momentum}).optimizer.build(model)
    before = model.weight.detach().clone()
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.tensor([[1, 3]])).sum().backward()
        optimizer.step()
    assert (model.weight != before).any(1).tolist() == [False, True, False, True, False]


# average


def test_the_average_starts_at_the_weights_and_reaches_back_a_share_of_the_steps():
    model = nn.Linear(1, 1, bias=False)
    average = Average(model)
    weight, seen = 0.0, []
    for step in range(2000):
        with torch.no_grad():
            model.weight.fill_(float(step))
        seen.append(float(step))
        average.step()
        share = 1 / (1 + WINDOW * step)
        weight += share * (step - weight)
    assert average.weights["weight"].item() == pytest.approx(weight, rel=1e-4)
    lag = (seen[-1] - weight) / len(seen)
    assert 0.05 < lag / WINDOW < 15  # a share of the steps, however many there were


def test_statistics_of_normalisation_are_averaged_as_the_weights_are():
    """The average of a model that trains is judged with statistics of its own activations."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4, track_running_stats=False))
    average = Average(model)
    statistics = {"1.running_mean", "1.running_var"}
    assert average.weights.keys() == dict(model.named_parameters()).keys() | statistics
    wanted, counted = torch.zeros(4), 0
    for step in range(50):
        model(torch.full((5, 3), float(step)))
        average.step()
        wanted += (model[1].running_mean - wanted) / (1 + WINDOW * step)
        counted = int(model[1].num_batches_tracked)
    assert torch.allclose(average.weights["1.running_mean"], wanted, rtol=1e-4)
    assert not torch.allclose(average.weights["1.running_mean"], model[1].running_mean, rtol=1e-2)
    with wearing(model, average.weights):
        assert torch.equal(model[1].running_mean, average.weights["1.running_mean"])
    assert counted == 50


def test_the_average_has_each_name_of_a_weight_that_two_modules_share():
    """A state dict holds both, and loading it takes the second."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    average = Average(model)
    for step in range(3):
        with torch.no_grad():
            model[0].weight.fill_(float(step))
        average.step()
    assert torch.equal(average.weights["0.weight"], average.weights["1.weight"])
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    other.load_state_dict(model.state_dict() | average.weights)
    assert torch.equal(other[1].weight, average.weights["0.weight"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64])
def test_the_average_of_any_kind_of_number_follows_the_weights(dtype):
    """A step of an average is a thousandth of it, which half precision would round to nothing."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros(1, dtype=dtype))
    average, wanted = Average(model), 0.0
    for step in range(3000):
        with torch.no_grad():
            model.weight.fill_(1.0 if step > 1000 else 0.0)
        average.step()
        wanted += ((step > 1000) - wanted) / (1 + WINDOW * step)
    assert average.weights["weight"].real.item() == pytest.approx(wanted, rel=1e-3)
    with wearing(model, average.weights):
        assert model.weight.dtype is dtype and model.weight.real.item() == pytest.approx(wanted, rel=1e-2)


def test_what_is_not_trained_is_not_averaged():
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    assert set(Average(model).weights) == {"1.weight", "1.bias"}


def test_wearing_other_weights_is_undone():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with wearing(model, {"0.bias": torch.tensor([5.0, 6.0])}):
        assert model[0].bias.tolist() == [5.0, 6.0]
        assert torch.equal(model[0].weight, before["0.weight"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# parts


def steps(model, optimizer, count, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.randn(4, 3, generator=generator)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
        lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), amsgrad=True),
        lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
        lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1)),
        lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True),
        lambda p: torch.optim.Adagrad(p, lr=0.1),
    ],
)
def test_any_optimizer_goes_on_bitwise(make):
    def fresh():
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        return model, make(model.parameters())

    model, optimizer = fresh()
    steps(model, optimizer, 3, seed=1)
    taken = capture({"model": ModelPart(model), "optimizer": OptimizerPart(optimizer)}, 0.5)
    other, its_optimizer = fresh()
    for _ in range(2):  # a snapshot can be gone back to more than once
        restore({"model": ModelPart(other), "optimizer": OptimizerPart(its_optimizer)}, taken)
        steps(other, its_optimizer, 2, seed=2)
    steps(model, optimizer, 2, seed=2)
    assert torch.equal(model.weight, other.weight)
    assert type(its_optimizer.param_groups[0].get("betas", ())) is tuple


@pytest.mark.parametrize("make", [partial(SGD, momentum=0.9), AdamW])
def test_the_memory_layout_of_a_parameter_is_that_of_its_state(make):
    """Fused kernels walk both from end to end: with other strides momentum would go to other weights."""

    def fresh():
        torch.manual_seed(0)
        model = nn.Conv2d(2, 4, 3).to(memory_format=torch.channels_last)
        return model, make(model.parameters(), lr=0.1, fused=True)

    def train(model, optimizer, seed):
        inputs = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
        for _ in range(3):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()

    model, optimizer = fresh()
    train(model, optimizer, 1)
    taken = capture({"model": ModelPart(model), "optimizer": OptimizerPart(optimizer)}, 0.5)
    other, its_optimizer = fresh()
    restore({"model": ModelPart(other), "optimizer": OptimizerPart(its_optimizer)}, taken)
    train(model, optimizer, 2)
    train(other, its_optimizer, 2)
    assert torch.equal(model.weight, other.weight)


def test_a_parameter_may_have_its_first_gradient_late():
    def trained(fused):
        torch.manual_seed(0)
        parts = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
        optimizer = SGD(parts.parameters(), lr=0.1, momentum=0.9, fused=fused)
        for step in range(4):
            optimizer.zero_grad()
            sum(part(torch.ones(1, 3)).square().sum() for part in parts[: 1 + step // 2]).backward()
            optimizer.step()
        return [parameter.detach() for parameter in parts.parameters()]

    assert all(torch.allclose(one, other) for one, other in zip(trained(True), trained(False), strict=True))


def test_a_state_that_is_no_tensor_and_no_scalar_is_refused():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["extra"] = object()
    with pytest.raises(CheckpointError, match="'extra' is a object; only tensors and scalars can be saved"):
        OptimizerPart(optimizer).capture()


# attempts


def test_starts_are_counted_by_fidelity_and_driver(tmp_path):
    attempts = Attempts(tmp_path / "trial")
    starts = [(0.5, 1), (0.5, 1), (0.7, 1), (0.7, 1), (0.7, 2)]
    assert [attempts.begin(*start) for start in starts] == [0, 1, 0, 1, 0]
    attempts.end()
    assert attempts.begin(0.7, 2) == 0
    (tmp_path / "trial" / "starts.json").write_text('{"fid')
    assert attempts.begin(0.7, 2) == 0


# watching


@pytest.mark.parametrize(
    ("look", "read"),
    [
        (lambda c: c["a"], {"a"}),
        (lambda c: c.get("z"), {"z"}),
        (lambda c: "b" in c, {"b"}),
        (lambda c: list(c), {"a", "b"}),
        (lambda c: {**c}, {"a", "b"}),
        (lambda c: dict(c), {"a", "b"}),
        (lambda c: dict(**c), {"a", "b"}),
        (lambda c: c | {"d": 1}, {"a", "b"}),
        (lambda c: {"d": 1} | c, {"a", "b"}),
        (lambda c: list(c.items()), {"a", "b"}),
        (lambda c: c.copy(), {"a", "b"}),
        (lambda c: len(c), set()),
    ],
)
def test_reading_is_noticed(look, read):
    watched = Watched({"a": 1, "b": 2})
    look(watched)
    assert watched.read == read


def test_reading_what_is_not_there_is_told_with_the_nearest_name():
    with pytest.raises(KeyError, match="unknown parameter 'width'; did you mean 'widht'"):
        Watched({"widht": 3})["width"]


# samples


def test_groups_are_counted_from_zero(blobs):
    groups = np.array([7, -3, 10**12])[np.arange(blobs.n) % 3]
    samples = Samples(blobs.with_columns(groups=groups), CPU, lambda inputs: inputs)
    assert samples.groups[:4].tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({}, "the data has no column 'groups', got inputs, targets; name the group of each sample by"),
        ({"groups": np.linspace(0, 1, 300)}, "one whole number per sample, got float64"),
        (
            {"groups": np.zeros((300, 2), int)},
            r"got int64 of shape \(300, 2\); number the groups with np.unique",
        ),
    ],
)
def test_groups_that_are_none_say_so(blobs, columns, text):
    samples = Samples(blobs.with_columns(**columns), CPU, lambda inputs: inputs)
    with pytest.raises(SelectorError, match=text):
        _ = samples.groups


def test_samples_share_the_memory_of_their_data(blobs):
    samples = Samples(blobs, CPU, lambda inputs: inputs)
    assert samples.targets.data_ptr() == blobs.targets.ctypes.data
    assert samples._rows._inputs.data_ptr() == blobs.inputs.ctypes.data


def test_batches_of_a_split_are_its_samples_in_order(blobs):
    samples = Samples(blobs, CPU, lambda inputs: inputs * 2)
    ids = torch.tensor([5, 2, 9, 0, 7])
    batches = list(samples.batches(ids, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([batch.ids for batch in batches]), ids)
    assert torch.equal(batches[0].inputs, torch.tensor(blobs.inputs[[5, 2]]) * 2)
    assert batches[2].weights.tolist() == [1.0]


def test_a_policy_shifts_the_learning_rate_and_the_batch_size():
    config = {"lr": 0.1, "batch_size": 32, "policy": "random", "policy.fraction": 0.1}
    shifted = Settings.from_config(config | {"policy.lr_factor": 0.5, "policy.batch_factor": 2})
    assert shifted == Settings.from_config(config | {"lr": 0.05, "batch_size": 64})
    assert Settings.from_config(config | {"policy.batch_factor": 0.01}).batch_size == 1
