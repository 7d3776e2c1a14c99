"""Passes over data in shards on a cluster: the values of the pass in one process, to the bit."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from autotune.cluster.spread import OnCluster
from autotune.data import Dataset, Limits
from autotune.selection import make_selector
from autotune.signals import Signal
from autotune.standalone.select import select
from autotune.standalone.sources import Sources
from autotune.task import Classification
from autotune.training.collect import Collector
from autotune.training.gradients import GradientCollector
from autotune.training.passing import Collecting, Encoding, Here, Passing, Projecting, values_of

pytestmark = pytest.mark.ray


@pytest.fixture
def data(tmp_path):
    generator = np.random.default_rng(0)
    for shard in range(3):
        inputs = generator.normal(size=(700, 16)).astype(np.float32)
        table = {"x": pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), 16)}
        table["label"] = generator.integers(0, 3, 700)
        pq.write_table(pa.table(table), tmp_path / f"{shard}.parquet", row_group_size=300)
    limits = Limits(0.01, 1e-4, tmp_path / "cache")  # signals may take 13 KiB at once, and take 67
    return Dataset.from_shards(tmp_path, target="label", limits=limits)


def encoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(16, 8)


def test_values_are_those_of_one_process(ray_cluster, data):
    rows = np.arange(0, data.n, 2)
    wanted = frozenset({Signal.LOSS, Signal.EMBEDDINGS, Signal.ERRORS})
    losses = Classification(data, nn.Linear).without_data().losses
    model = encoder()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 16)).sum().backward()
    optimizer.step()
    gradients = GradientCollector(model, losses, width=32)
    for compute in (
        Encoding(encoder()),
        Collecting(Collector(encoder(), losses), wanted),
        Projecting(gradients, Signal.GRADIENTS),
        Projecting(gradients, Signal.UPDATES, optimizer),
    ):
        passing = Passing(compute, data, rows)
        assert len(passing.items) == 9
        here, there = (
            values_of(passing, spread, lambda done: None, np.empty) for spread in (Here(), OnCluster())
        )
        assert here.keys() == there.keys()
        assert all(np.array_equal(here[signal], there[signal]) for signal in here)


def test_a_selection_in_parts_is_the_same_on_the_cluster(ray_cluster, data):
    chosen = [
        select(data, make_selector("k_center"), 0.05, Sources(encoder=encoder(), spread=spread))
        for spread in (Here(), OnCluster())
    ]
    assert chosen[0].facts["parts"] == chosen[1].facts["parts"] > 1
    assert chosen[0].ids.tolist() == chosen[1].ids.tolist()
    assert len(chosen[0]) == 105
