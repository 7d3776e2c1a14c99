"""What `training/eager.py` makes: torch's own results, without torch's compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from autotune.training.eager import COMPILER, SGD, AdamW, flop_counter

PAIRS = {
    "sgd": (SGD, torch.optim.SGD, {"lr": 0.1}),
    "momentum": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "fused": True}),
    "nesterov": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adamw": (AdamW, torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "fused": (AdamW, torch.optim.AdamW, {"lr": 0.01, "fused": True}),
}
STUDY = """
import sys, tempfile
import numpy as np
import autotune as at
from autotune.search_spaces.policies import policies
from autotune.engines.inprocess import InProcess
from torch import nn

rng = np.random.default_rng(0)
inputs = rng.normal(size=(400, 8)).astype(np.float32)
data = at.Dataset.from_arrays(inputs, (inputs @ rng.normal(size=(8, 3))).argmax(1))
space = at.SearchSpace({{
    "optimizer": at.Choice({{"sgd": {{"lr": 0.1}}, "adamw": {{"lr": 0.01}}}}),
    "policy": policies(["grand", "gradmatch"], fraction=0.5),
}})
plan = at.Plan(at.Budget(trials=8), at.ASHA(2.0))
engine = InProcess(lanes={lanes})
model = lambda config: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
with tempfile.TemporaryDirectory() as folder:
    at.Study(at.Classification(data, model), space, folder + "/study", plan, engine).run()
assert {compiler!r} not in sys.modules
"""


def trained(kind, settings, steps=5):
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    optimizer = kind(model.parameters(), **settings)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 6, generator=generator)).square().sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("name", PAIRS)
def test_steps_and_states_are_torch_s_to_the_last_bit(name):
    ours, theirs, settings = PAIRS[name]
    (model, mine), (other, its) = trained(ours, settings), trained(theirs, settings)
    assert torch.equal(model.weight, other.weight) and torch.equal(model.bias, other.bias)
    assert model.weight.requires_grad and model.weight.grad_fn is None
    own, expected = mine.state_dict(), its.state_dict()
    assert own["param_groups"] == expected["param_groups"]
    torch.testing.assert_close(own["state"], expected["state"], rtol=0, atol=0)


def test_a_learning_rate_schedule_of_torch_s_works():
    _, optimizer = trained(SGD, {"lr": 0.1})
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_study_does_not_import_the_compiler(lanes, tmp_path):
    code = STUDY.format(lanes=lanes, compiler=COMPILER)
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_counter_leaves_torch_as_it_was(monkeypatch):
    monkeypatch.delitem(sys.modules, COMPILER, raising=False)
    with flop_counter() as counter:
        nn.Linear(6, 4)(torch.ones(2, 6))
    assert counter.get_total_flops() == 2 * 2 * 6 * 4
    assert COMPILER not in sys.modules
    with torch.utils.flop_counter.FlopCounterMode(display=False):
        nn.Linear(6, 4)(torch.ones(2, 6))
    assert COMPILER in sys.modules, "torch was left changed, or does without by now and eager.py can go"


def test_a_compiled_model_trains():
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    model.compile(backend="eager")
    optimizer = SGD(model.parameters(), lr=0.1)
    with flop_counter() as counter:
        model(torch.ones(2, 6))
    before = model.weight.clone()
    model(torch.ones(2, 6)).sum().backward()
    optimizer.step()
    assert counter.get_total_flops() == 2 * 2 * 6 * 3
    torch.testing.assert_close(model.weight, before - 0.1 * 2.0)
