"""Trials on data in shards: the batches of data in memory, and a resume that goes on where it was."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from autotune.data import Dataset, Limits, Splits
from autotune.data.shards.cache import GIB
from autotune.data.shards.inputs import ShardedInputs
from autotune.events import Interrupted, Reported
from autotune.task import Classification
from autotune.training.rows import rebatched
from autotune.training.rules import TrialRules
from autotune.training.samples import Samples
from autotune.training.workload import TrainingWorkload
from autotune.work import Assignment

N, WIDTH = 1200, 8
POLICIES = [
    {},
    {"policy": "fresh_random", "policy.fraction": 0.1},
    {"policy": "el2n", "policy.fraction": 0.1, "policy.warmup": 0.1},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    generator = np.random.default_rng(0)
    for shard in range(4):
        targets = generator.integers(0, 3, N // 4)
        inputs = (generator.normal(size=(N // 4, WIDTH)) + targets[:, None]).astype(np.float32)
        table = {"x": pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), WIDTH), "y": targets}
        pq.write_table(pa.table(table), folder / f"{shard}.parquet", row_group_size=50)
    return folder


def limits(window, tmp_path):
    """Room for windows of so many rows."""
    return Limits(8 * window * 4 * WIDTH / GIB, 1.0, tmp_path / "cache")


def beyond(folder, window, tmp_path):
    return Dataset.from_shards(folder, target="y", limits=limits(window, tmp_path))


def build(config):
    return nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 3))


def workload(data, path):
    rules = TrialRules(2.0, checkpoint_share=0.05, eval_batch=64, device="cpu")
    reference = {"lr": 0.1, "batch_size": 32}
    return TrainingWorkload(Classification(data, build), Splits.make(data), rules, path, reference=reference)


def trained(data, path, policy, beat=lambda: None):
    given = workload(data, path)
    config = {"lr": 0.1, "batch_size": 32, **policy}
    return given.worker(given.bulk).advance(Assignment(0, 0, config, 5, rung=0, since=0.0, until=1.0), beat)


def weights(path, data):
    store = workload(data, path).room(Classification(data, build)).store
    return store.latest(0, lambda: None).tensors


@pytest.mark.parametrize("policy", POLICIES, ids=["full", "fresh_random", "el2n"])
def test_a_trial_is_that_on_data_in_memory_where_windows_hold_its_subset(folder, tmp_path, policy):
    inside, outside = Dataset.from_parquet(folder, target="y"), beyond(folder, N, tmp_path)
    expected, found = (
        trained(inside, tmp_path / "inside", policy),
        trained(outside, tmp_path / "beyond", policy),
    )
    assert isinstance(expected, Reported)
    assert (found.score, found.metrics) == (expected.score, expected.metrics)
    one, other = weights(tmp_path / "inside", inside), weights(tmp_path / "beyond", outside)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("policy", "steps"), list(zip(POLICIES, (23, 23, 12), strict=True)), ids=["full", "fresh_random", "el2n"]
)
def test_a_trial_in_windows_goes_on_as_if_it_was_never_stopped(folder, tmp_path, policy, steps):
    data = beyond(folder, 70, tmp_path)
    undisturbed = trained(data, tmp_path / "undisturbed", policy)
    beats = 0

    def leave():
        nonlocal beats
        beats += 1
        return beats > steps

    assert isinstance(trained(data, tmp_path / "stopped", policy, leave), Interrupted)
    again = trained(data, tmp_path / "stopped", policy)
    assert (again.score, again.fidelity) == (undisturbed.score, undisturbed.fidelity)
    one, other = weights(tmp_path / "undisturbed", data), weights(tmp_path / "stopped", data)
    assert all(torch.equal(one[name], other[name]) for name in one if not name.startswith("meter"))


def test_a_pass_in_random_order_decodes_each_row_group_about_once(folder, tmp_path, monkeypatch):
    decoded = []
    plain = ShardedInputs._decoded
    monkeypatch.setattr(
        ShardedInputs,
        "_decoded",
        lambda self, group, opened: decoded.append(group) or plain(self, group, opened),
    )
    samples = Samples(beyond(folder, 200, tmp_path), torch.device("cpu"), lambda inputs: inputs)
    ids = torch.arange(N)
    windows = samples.windows(ids, torch.Generator().manual_seed(0))
    assert len(windows) == 6
    near = samples
    seen = []
    for window in windows:
        near = near.near(ids[window], lambda: None)
        for part in torch.split(ids[window], 32):
            batch = near.batch(part)
            assert torch.equal(batch.inputs, torch.from_numpy(samples._data.inputs[part.numpy()]))
            seen += part.tolist()
    assert sorted(seen) == list(range(N))
    decoded.clear()
    near = samples
    for window in samples.windows(ids, torch.Generator().manual_seed(1)):
        near = near.near(ids[window], lambda: None)
        for part in torch.split(ids[window], 32):
            near.batch(part)
    assert len(decoded) <= 24 - 16 + 2 * 5  # all but those that are kept, and at a cut up to two again
    decoded.clear()
    for _ in near.batches(ids[windows[0]], 32):
        pass
    assert len(decoded) <= 8


def test_what_is_read_is_the_same_whatever_the_windows(folder, tmp_path):
    inside = Samples(Dataset.from_parquet(folder, target="y"), torch.device("cpu"), lambda inputs: inputs)
    shuffled = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    for window in (7, 100, N):
        outside = Samples(beyond(folder, window, tmp_path), torch.device("cpu"), lambda inputs: inputs)
        for ids in (torch.arange(N), torch.arange(0, N, 3), shuffled, shuffled[:33], shuffled[:0]):
            pairs = zip(inside.batches(ids, 31), outside.batches(ids, 31), strict=True)
            assert all(torch.equal(one.inputs, other.inputs) for one, other in pairs)


def test_blocks_of_any_size_become_batches_of_one():
    blocks = [np.arange(start, end)[:, None] for start, end in ((0, 3), (3, 3), (3, 11), (11, 12), (12, 13))]
    assert [len(batch) for batch in rebatched(iter(blocks), 4)] == [4, 4, 4, 1]
    assert np.concatenate(list(rebatched(iter(blocks), 5))).ravel().tolist() == list(range(13))
    assert not list(rebatched(iter([]), 5))
