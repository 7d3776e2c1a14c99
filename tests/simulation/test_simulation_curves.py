"""Readers of recorded and modelled curves."""

import json
import math

import numpy as np
import pytest

from autotune.errors import ConfigurationError, DataError
from autotune.simulation.lcbench import LCBench
from autotune.simulation.taskset import TaskSet


def row(rate, *losses):
    return {"hp": {"learning_rate": rate, "beta1": 0.9}, "valid": {"loss": [99.0, *losses]}}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "task.json"
    file.write_text(json.dumps([row(1e-4, 3.0, 2.0), row(1e-2, 2.0, 1.0), row(1.0, 9.0, math.nan)]))
    return file


def test_a_configuration_has_the_curve_of_the_nearest_recorded_one(path):
    curves = TaskSet(path)
    assert set(curves.space.parameters) == {"learning_rate"}  # what never changes is not searched
    assert curves.horizon == 2.0
    assert [curves.score({"learning_rate": 3e-4}, step) for step in (0.4, 1, 2, 9)] == [-3, -3, -2, -2]
    assert curves.score({"learning_rate": 2e-2}, 2) == -1.0
    assert math.isnan(curves.score({"learning_rate": 0.9}, 2))
    assert curves.seconds({"learning_rate": 1e-4}, 1, 2) == 1.0
    assert curves.finals(1, 0)[:2] == [-2.0, -1.0]


def test_recorded_configurations_can_be_searched_by_number(path):
    curves = TaskSet(path, rows=True)
    assert [curves.score({"row": number}, 2) for number in (0, 1)] == [-2.0, -1.0]
    drawn = {curves.space.sample(np.random.default_rng(seed))["row"] for seed in range(30)}
    assert drawn == {0, 1, 2}


@pytest.mark.parametrize("text", ["", "[]", '[{"hp": {}}]', '{"a": 1}'])
def test_what_is_no_task_of_taskset(tmp_path, text):
    (tmp_path / "task.json").write_text(text)
    with pytest.raises(DataError, match="cannot be read as a task of TaskSet"):
        TaskSet(tmp_path / "task.json")
    with pytest.raises(DataError, match="cannot be read"):
        TaskSet(tmp_path / "absent.json")


@pytest.mark.data
def test_a_real_task_of_taskset(data_dir):
    for path in (data_dir / "hpo" / "taskset").glob("*VRNN*.json"):
        curves = TaskSet(path)
        drawn = [curves.space.sample(np.random.default_rng(seed)) for seed in range(50)]
        assert curves.horizon == 50
        assert all(curves.space.validate(config) for config in drawn)
        assert len({curves.score(config, 50) for config in drawn}) > 30


@pytest.mark.data
def test_the_surrogate_of_lcbench(data_dir):
    curves = LCBench(data_dir / "hpo" / "lcbench", "3945")
    config = {
        "batch_size": 64, "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.001, "num_layers": 3,
        "max_units": 256, "max_dropout": 0.2,
    }  # fmt: skip
    scores = [curves.score(config, epoch) for epoch in (1, 5, 20, 52)]
    assert scores == pytest.approx([40.4, 88.5, 88.8, 90.6], abs=0.1)
    whole = curves.seconds(config, 0, 52)
    assert whole == pytest.approx(155.8, abs=0.1)
    assert curves.seconds(config, 0, 20) + curves.seconds(config, 20, 52) == pytest.approx(whole)
    assert curves.finals(3, 0) == curves.finals(3, 0)
    with pytest.raises(ConfigurationError, match="3945"):
        LCBench(data_dir / "hpo" / "lcbench", "394")
    with pytest.raises(DataError, match=r"model\.onnx"):
        LCBench(data_dir, "3945")
