"""How many lanes are worth having: measured, bounded by memory and by use, 1 where nothing is gained."""

import pytest
import torch
from torch import nn

from autotune.task import Classification, CustomLoop
from autotune.training.device import free_bytes
from autotune.training.rules import TrialRules
from autotune.training.vectorised import worth as module
from autotune.training.vectorised.worth import worth
from autotune.training.workload import TrainingWorkload

REFERENCE = {"lr": 0.1, "batch_size": 16, "policy": "small_loss", "policy.fraction": 0.3}


def mlp(config):
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))


def dropping(config):
    return nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 3))


@pytest.fixture
def room(blobs, splits, tmp_path):
    def made(model=mlp, task=None):
        task = task or Classification(blobs, model)
        return TrainingWorkload(task, splits, TrialRules(2.0), tmp_path, reference=REFERENCE).room(task)

    return made


@pytest.fixture
def gains(monkeypatch):
    """What steps of so many lanes gain."""
    given = {2: 0.9, 4: 1.3, 8: 2.0, 16: 2.9, 32: 3.0}
    monkeypatch.setattr(module, "_gain", lambda kind, steps, device: given[len(steps)])
    return given


def test_the_fewest_that_gain_nearly_the_most_are_taken(room, gains):
    assert worth(room(), 1000, 1.0) == (
        16,
        "16 steps of the reference made together are 2.9 times as fast as each alone",
    )


def test_no_more_than_are_of_use(room, gains):
    assert worth(room(), 10, 1.0)[0] == 8
    lanes, reason = worth(room(), 1, 1.0)
    assert (lanes, reason.endswith("1 can be of use at once")) == (1, True)


def test_no_more_than_fit_into_the_memory(room, gains, monkeypatch):
    monkeypatch.setattr(module, "lane_bytes", lambda step: 1000)
    monkeypatch.setattr(module, "free_bytes", lambda device: 40_000)
    assert worth(room(), 1000, 0.5)[0] == 8  # of 10 that fit into a half of a half
    monkeypatch.setattr(module, "free_bytes", lambda device: 4_000)
    lanes, reason = worth(room(), 1000, 0.5)
    assert (lanes, reason.startswith("1 fit into half")) == (1, True)


def test_one_where_nothing_is_gained(room, gains):
    gains.update(dict.fromkeys(gains, 1.1))
    assert worth(room(), 1000, 1.0)[0] == 1


def test_one_where_steps_cannot_be_made_together(room, blobs):
    lanes, reason = worth(room(dropping), 1000, 1.0)
    assert (lanes, reason.startswith("steps cannot be made together: ")) == (1, True)
    assert "random" in reason
    loop = room(task=CustomLoop(blobs, lambda session: None))
    assert worth(loop, 1000, 1.0) == (1, "a loop of the user's own makes its steps itself")


def test_one_where_a_step_takes_long(room, monkeypatch):
    monkeypatch.setattr(module, "_timed", lambda step, device: 0.3)
    assert worth(room(), 1000, 1.0) == (1, "a step takes 300 ms, so the model is not small")


def test_one_where_it_cannot_be_measured(room):
    def broken(config):
        raise ValueError("as asked")

    assert worth(room(broken), 1000, 1.0) == (1, "it could not be measured: ValueError: as asked")


def test_it_measures_and_leaves_everything_as_it_was(room, tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    lanes, reason = worth(room(), 4, 1.0)
    assert lanes in (1, 2, 4)
    assert "made together are" in reason
    assert torch.equal(torch.get_rng_state(), before)
    assert not list(tmp_path.rglob("*"))


def test_another_lane_takes_its_weights_several_times_and_what_its_pass_keeps(room):
    task = room().task
    step = module.first_step(room(), task, 0)
    weights = 4 * sum(p.numel() for p in step.model.parameters())
    more = module.lane_bytes(step) - module.COPIES * weights
    assert 4 * 16 * len(step.batch) <= more <= 40 * 16 * len(step.batch)


def test_there_is_memory():
    assert free_bytes(torch.device("cpu")) > 2**20
