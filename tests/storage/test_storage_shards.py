"""Data that stays in its shards in an object store."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autotune.data import Dataset, Limits, open_dataset
from autotune.errors import DataError, StorageError

ROWS, WIDTH = 8192, 768


@pytest.fixture
def folder(tmp_path):
    """Five shards of 6 MiB once they are decoded."""
    generator = np.random.default_rng(0)
    centres = generator.integers(0, 4, (10, WIDTH), dtype=np.uint8)
    noise = generator.integers(0, 8, (ROWS, WIDTH), dtype=np.uint8) == 0
    (tmp_path / "data").mkdir()
    for shard in range(5):
        targets = generator.integers(0, 10, ROWS)
        inputs = centres[targets] ^ np.roll(noise, shard, axis=1)
        table = {
            "x": pa.FixedSizeListArray.from_arrays(pa.array(inputs.reshape(-1)), WIDTH),
            "label": targets,
        }
        pq.write_table(pa.table(table), tmp_path / "data" / f"{shard:02}.parquet", row_group_size=1024)
    return tmp_path / "data"


@pytest.fixture
def bucket(folder, server):
    server.objects |= {f"set/{path.name}": path.read_bytes() for path in folder.iterdir()}
    return server


def test_shards_in_a_store_are_those_of_the_folder(folder, bucket, tmp_path):
    limits = Limits(0.002, 1, tmp_path / "cache")
    there = open_dataset(bucket.address("set"), limits=limits)
    assert there.fingerprint == Dataset.from_shards(folder, target="label", limits=limits).fingerprint
    assert open_dataset(bucket.address("set/01.parquet")).n == ROWS
    ids = np.random.default_rng(0).integers(0, there.n, 50)
    assert np.array_equal(there.inputs[ids], Dataset.from_parquet(folder, target="label").inputs[ids])


def test_rows_of_a_row_group_do_not_read_the_others(bucket, tmp_path):
    data = open_dataset(bucket.address("set"), limits=Limits(0.5, 1, tmp_path / "cache"))
    bucket.asked.clear()
    assert len(data.inputs[9000:9100]) == 100
    assert {key for _, key in bucket.asked} == {"set/01.parquet"}
    assert len(bucket.asked) <= 3  # the footer and the group's column
    bucket.asked.clear()
    assert len(data.inputs[9100:9200]) == 100
    assert not bucket.asked


def test_shards_that_changed_or_are_gone_are_named(bucket, tmp_path):
    data = open_dataset(bucket.address("set"), limits=Limits(0.002, 1, tmp_path / "cache"))
    bucket.objects["set/03.parquet"] = bucket.objects["set/02.parquet"]
    del bucket.objects["set/04.parquet"]
    for row, name in ((3 * ROWS, "03"), (4 * ROWS, "04")):
        with pytest.raises(StorageError, match=rf"set/{name}.parquet.* is gone or has changed since"):
            data.inputs[row]
    bucket.objects["set/02.parquet"] = b"nothing that is Parquet"
    with pytest.raises(DataError, match=r"set/02.parquet.* is damaged or no Parquet file"):
        open_dataset(bucket.address("set"))
    with pytest.raises(DataError, match=r"no .parquet or .pq file at .*; .*set.* has: .*01.parquet"):
        open_dataset(bucket.address("set/99.parquet"))


def test_a_store_that_is_away_in_the_middle_of_a_study_is_waited_for(bucket, tmp_path, monkeypatch):
    data = open_dataset(bucket.address("set"), limits=Limits(0.002, 1, tmp_path / "cache"))
    monkeypatch.setattr("autotune.data.shards.files.OPENING_S", 0.0)
    bucket.break_down("503")
    beats = []

    def beat():
        beats.append(1)
        if len(beats) > 3:
            bucket.mend()

    [rows] = data.inputs.gather(np.arange(10), beat)
    assert rows.shape == (10, WIDTH)
    assert len(beats) > 3
