"""Data sets that stay in their shards: the same rows as in memory, whatever the limits, and clear errors."""

import os
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autotune.data import Dataset, Limits, Splits, open_dataset
from autotune.data.shards import inputs as shard_inputs
from autotune.data.shards.cache import GIB, Cache
from autotune.data.shards.order import windows
from autotune.errors import ConfigurationError, DataError, StorageError
from autotune.standalone.audit import audit

ROWS, SHARDS = 100, 5


def lists(values):
    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def png(pixels, path):
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def columns(kind, generator, folder):
    """Input columns of one shard."""
    whole = generator.integers(0, 255, (ROWS, 6), dtype=np.uint8)
    match kind:
        case "lists":
            return {"x": lists(whole.astype(np.float64))}
        case "numbers":
            third = [None if value < 25 else int(value) for value in whole[:, 2]]
            return {"a": whole[:, 0], "b": whole[:, 1] / 7, "c": pa.array(third)}
        case "texts":
            return {"x": [" ".join(str(word % 9) for word in row) for row in whole]}
        case "images":
            encoded = [
                {"bytes": png(row[None].repeat(4, 0), folder / "one.png"), "path": ""} for row in whole
            ]
            return {"x": pa.array(encoded, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))}


def written(folder, kind="lists"):
    generator = np.random.default_rng(3)
    folder.mkdir()
    for shard in range(SHARDS):
        name = "test-0.parquet" if shard == 0 else f"part-{shard}.parquet"
        table = {**columns(kind, generator, folder.parent), "label": generator.integers(0, 4, ROWS)}
        table["when"] = np.arange(ROWS) + shard
        pq.write_table(pa.table(table), folder / name, row_group_size=32)
    return folder


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path / "data")


@pytest.fixture
def limits(tmp_path):
    """A cache for some of the row groups, which are 32 rows of 6 floats, and for windows of 40 rows."""
    return Limits(8 * 40 * 24 / GIB, 1.0, tmp_path / "cache")


def opened(folder, limits, **roles):
    return Dataset.from_shards(folder, target="label", limits=limits, **roles)


def copied(data):
    return pickle.loads(pickle.dumps(data))  # noqa: S301 - our own bytes, as Ray passes arguments


@pytest.mark.parametrize("kind", ["lists", "numbers", "texts", "images"])
def test_rows_are_those_of_the_data_in_memory(tmp_path, limits, kind, monkeypatch):
    monkeypatch.setattr(shard_inputs, "BLOCK_BYTES", 200)
    folder = written(tmp_path / "data", kind)
    inside = Dataset.from_parquet(folder, target="label", keep=["when"])
    beyond = opened(folder, limits, keep=["when"])
    assert (beyond.n, beyond.kind, beyond.sizes) == (inside.n, inside.kind, inside.sizes)
    assert beyond.inputs.dtype == inside.inputs.dtype
    assert np.array_equal(beyond.targets, inside.targets)
    assert np.array_equal(beyond.columns["when"], inside.columns["when"])
    assert np.array_equal(beyond.official_test, inside.official_test)
    assert Splits.make(beyond).fingerprint == Splits.make(inside).fingerprint
    for ids in ([3, 499, 3, 250], slice(90, 140), inside.targets == 2, slice(3, 3)):
        assert np.array_equal(beyond.inputs[ids], inside.inputs[ids])
    assert np.array_equal(beyond.inputs[7], inside.inputs[7])
    every_third = np.arange(0, beyond.n, 3)
    assert np.array_equal(beyond.inputs.packed(every_third), inside.inputs[every_third])
    assert np.array_equal(np.concatenate(list(beyond.inputs.gather(every_third))), inside.inputs[every_third])


def test_the_fingerprint_is_that_of_every_copy_and_of_no_other_data(tmp_path, folder, limits):
    data = opened(folder, limits)
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert opened(copy, Limits()).fingerprint == data.fingerprint
    assert copied(data).fingerprint == data.fingerprint
    (copy / "part-4.parquet").unlink()
    assert opened(copy, limits).fingerprint != data.fingerprint
    assert data.with_columns(targets=1 - data.targets % 2).fingerprint != data.fingerprint


def test_pickled_it_is_small_and_reads_what_it_read(folder, limits):
    data = opened(folder, limits)
    assert len(pickle.dumps(data.inputs)) < 4000
    assert np.array_equal(copied(data).inputs[:40], data.inputs[:40])


def test_a_row_group_is_decoded_once_where_the_cache_has_room(folder, limits, monkeypatch):
    decoded = []
    plain = shard_inputs.ShardedInputs._decoded
    monkeypatch.setattr(
        shard_inputs.ShardedInputs,
        "_decoded",
        lambda self, group, opened: decoded.append(group) or plain(self, group, opened),
    )
    first, again = opened(folder, Limits(1, 1, limits.folder)), opened(folder, Limits(1, 1, limits.folder))
    assert np.array_equal(first.inputs[:], again.inputs[:])
    assert decoded == list(range(20))
    small = opened(folder, Limits(limits.cache_gib, 1, limits.folder.with_name("other")))
    decoded.clear()
    assert len(small.inputs[:]) == len(small.inputs[:]) == 500
    kept = [group for group in range(20) if decoded.count(group) == 1]
    assert kept == [0, 1, 2, 3, 4]  # those of half the cache: never the ones that were read last
    assert decoded.count(19) == 2


def test_the_cache_keeps_to_its_limit_and_what_is_used(folder, limits):
    data = opened(folder, limits)
    used = np.arange(0, 500, 20)
    for start in range(20):
        data.inputs.packed(used)
        data.inputs.packed(np.arange(start, 500, 17))
        assert (
            sum(path.stat().st_size for path in limits.folder.rglob("*.npy")) < limits.cache_gib * GIB + 1024
        )
    assert not list(limits.folder.rglob("*.lock"))
    names = set(limits.folder.rglob("*.npy"))
    data.inputs.packed(used)
    assert set(limits.folder.rglob("*.npy")) == names


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".rows-1.npy.host.7").write_bytes(b"half")
    os.utime(tmp_path / ".rows-1.npy.host.7", (0, 0))
    cache = Cache(tmp_path, 1 << 20)
    made = cache.get("rows-1", (2, 3), np.dtype(np.int8), lambda: [np.ones((2, 3), np.int8)])
    assert made.tolist() == [[1, 1, 1]] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows-1.npy"]
    with pytest.raises(ValueError, match="read-only"):
        made[0] = 2


def test_what_cannot_be_read_is_not_kept(tmp_path):
    def broken():
        yield np.ones((1, 3), np.int8)
        raise StorageError("the shard is gone")

    with pytest.raises(StorageError, match=r"^the shard is gone$"):
        Cache(tmp_path, 1 << 20).get("rows-1", (2, 3), np.dtype(np.int8), broken)
    assert not list(tmp_path.iterdir())


@settings(max_examples=60)
@given(n=st.integers(1, 80), size=st.integers(1, 90), per_group=st.integers(1, 30), seed=st.integers(0, 9))
def test_windows_are_a_permutation_in_which_row_groups_stay_together(n, size, per_group, seed):
    ids = torch.arange(n) * 2
    parts = windows(ids, size, lambda rows: rows // per_group, torch.Generator().manual_seed(seed))
    assert sorted(torch.cat(parts).tolist()) == list(range(n))
    assert all(len(part) <= size for part in parts)
    reads = sum(len(torch.unique(ids[part] // per_group)) for part in parts)
    assert reads <= len(torch.unique(ids // per_group)) + len(parts) - 1  # one cut for each next window
    if len(parts) == 1:
        whole = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(parts[0], whole)  # the order of data in memory


def test_too_much_at_once_is_refused_and_so_is_an_array_of_everything(folder):
    data = opened(folder, Limits(1, 100 * 24 / GIB))
    assert len(data.inputs[:100]) == 100
    with pytest.raises(DataError, match=r"101 rows of inputs take .* more than memory_gib=.* in blocks"):
        data.inputs[:101]
    with pytest.raises(DataError, match=r"stay in their shards; read rows"):
        np.asarray(data.inputs)
    with pytest.raises(DataError, match=r"row ids must be in \[0, 500\), got -1 to 3"):
        data.inputs[[3, -1]]


def rewrite(folder, change, name="part-3.parquet"):
    table = pq.read_table(folder / name)
    pq.write_table(change(table), folder / name, row_group_size=32)


def with_nan(table):
    values = np.stack(table["x"].to_numpy())
    values[5] = np.nan
    return table.set_column(0, "x", lists(values))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop_columns(["x"]), r"part-3.parquet has no column 'x', which .*part-1.parquet has"),
        (lambda t: t.drop_columns(["label"]), r"part-3.parquet has no column 'label'"),
        (
            lambda t: t.set_column(1, "label", t["label"].cast("float")),
            r"part-3.parquet has .label. as float, .*part-1.parquet as int64; write all shards with",
        ),
    ],
)
def test_shards_that_differ_are_named(folder, limits, change, told):
    rewrite(folder, change)
    with pytest.raises(DataError, match=told):
        opened(folder, limits)


def test_rows_that_cannot_be_trained_on_are_named_when_they_are_read(folder, limits):
    rewrite(folder, with_nan)
    data = opened(folder, limits)
    assert np.isfinite(data.inputs[:200]).all()
    with pytest.raises(DataError, match=r"part-3.parquet: inputs must be finite, got NaN .* at row id 205; "):
        data.inputs[200:300]
    rewrite(folder, lambda t: t.set_column(0, "x", lists(np.zeros((ROWS, 5)))))
    with pytest.raises(DataError, match=r"part-3.parquet has 'x' as fixed_size_list.*\[5\]"):
        opened(folder, limits)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pa.array([{"a": 1}] * ROWS), r"column 'z' is struct<a: int64>.* write nested columns flat"),
        (["text"] * ROWS, r"column 'z' holds text, whose categories .* write it as numbers"),
    ],
)
def test_columns_that_need_more_than_their_rows_are_refused(folder, limits, column, told):
    for path in sorted(folder.iterdir()):
        table = pq.read_table(path).drop_columns(["x"])
        pq.write_table(table.append_column("z", pa.array(column)), path)
    with pytest.raises(DataError, match=told):
        opened(folder, limits)


def test_a_shard_that_is_gone_damaged_or_another_is_named(folder, limits):
    data = opened(folder, limits)
    (folder / "part-4.parquet").unlink()
    with pytest.raises(StorageError, match=r"part-4.parquet is gone or has changed since .* put it back"):
        data.inputs[399]
    rewrite(folder, lambda t: t.slice(0, 99))
    with pytest.raises(StorageError, match=r"part-3.parquet is gone or has changed"):
        data.inputs[299]
    (folder / "part-3.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"part-3.parquet is damaged or no Parquet file"):
        opened(folder, limits)
    with pytest.raises(DataError, match="datas does not exist"):
        opened(folder.with_name("datas"), limits)


def test_a_file_that_is_written_anew_is_not_read_from_the_cache(folder, limits):
    data = opened(folder, limits)
    before = data.inputs[:10]
    values = np.stack(pq.read_table(folder / "part-1.parquet")["x"].to_numpy())
    swapped = values.copy()
    swapped[:10] = values[9::-1]  # the same footer but for nothing: sizes and statistics are those of before
    rewrite(folder, lambda t: t.set_column(0, "x", lists(swapped)), "part-1.parquet")
    assert np.array_equal(opened(folder, limits).inputs[:10], before[::-1])


def test_open_dataset_leaves_inputs_in_their_shards_within_limits(folder, limits):
    data = open_dataset(folder, limits=limits)
    assert data.fingerprint == opened(folder, limits, inputs="x").fingerprint
    with pytest.raises(DataError, match="cache_gib must be finite and above 0, got 0"):
        Limits(0)


def test_columns_are_marked_by_the_rows_to_train_on_as_in_memory(tmp_path):
    pq.write_table(pa.table({"x": [1.0, 2.0], "z": [None, 1.0], "y": [0, 1]}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"x": [None, 2.0], "z": [0.0, 1.0], "y": [0, 1]}), tmp_path / "test.parquet")
    kept = Dataset.from_shards(tmp_path, target="y", limits=Limits(folder=tmp_path / "cache"))
    held = Dataset.from_parquet(tmp_path, target="y")
    assert kept.inputs[:].tolist() == held.inputs.tolist()
    assert held.inputs.shape == (4, 3)


def test_an_empty_file_is_said_to_be_none(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="damaged or no Parquet file"):
        Dataset.from_shards(tmp_path, target="y")
    with pytest.raises(DataError, match="cache_gib must be finite and above 0, got inf"):
        Limits(cache_gib=float("inf"))


def test_an_audit_wants_its_inputs_in_memory(tmp_path):
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigurationError, match="an audit needs all inputs in memory"):
        audit(Dataset.from_shards(tmp_path, target="y", limits=Limits(folder=tmp_path / "cache")))
