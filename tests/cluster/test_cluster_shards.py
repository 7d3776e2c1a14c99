"""A study of data in shards gives on Ray what it gives in one process: each worker reads what it needs."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch import nn

from autotune.cluster.engine import RayEngine
from autotune.data import Dataset, Limits
from autotune.engines.inprocess import InProcess
from autotune.events import Concluded, Reported
from autotune.log import read_events
from autotune.scheduling.asha import ASHA
from autotune.searching import RandomSearch
from autotune.space import Choice, Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study
from autotune.task import Classification

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster", "one_thread")]

POLICIES = {"el2n": {"fraction": 0.2, "warmup": 0.1}, "fresh_random": {"fraction": 0.2}, "full": {}}
SPACE = SearchSpace({"lr": Float(0.01, 0.3, log=True), "policy": Choice(POLICIES)})
PLAN = Plan(
    Budget(trials=6), ASHA(2.0, lowest=0.5, reduction=2), RandomSearch(), Confirm(leaders=1, seeds=2), seed=1
)
CACHE_KIB = 64  # of which windows take an eighth: 128 rows of 16 numbers


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(16, 3))
    for shard in range(3):
        inputs = generator.normal(size=(700, 16)).astype(np.float32)
        table = {"x": pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), 16)}
        table["label"] = (inputs @ truth).argmax(1)
        pq.write_table(pa.table(table), folder / f"{shard}.parquet", row_group_size=100)
    return folder


def told(path, engine, shards):
    """What trials reported and what was concluded, of a study that reads the shards through its own cache."""
    limits = Limits(CACHE_KIB / 2**20, 0.01, path.with_suffix(".cache"))
    data = Dataset.from_shards(shards, target="label", limits=limits)
    assert data.inputs.window < 0.2 * 0.7 * data.n, "no window holds a subset, which is what is to be shown"

    def build(config):  # travels by value: Ray's workers cannot import test modules
        return nn.Linear(16, 3)

    result = Study(Classification(data, build), SPACE, path, PLAN, engine).run()
    events = list(read_events(path / "log"))
    scores = {event.assignment: event.score for event in events if isinstance(event, Reported)}
    return scores, [event for event in events if isinstance(event, Concluded)], result.best_config


def test_it_decides_and_scores_the_same(tmp_path, shards):
    here = told(tmp_path / "here", InProcess(), shards)
    assert told(tmp_path / "ray", RayEngine(workers=1), shards) == here
    assert {path.name for path in (tmp_path / "ray.cache").iterdir()} == {"groups", "rows"}
