import json
import multiprocessing
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from autotune.data import Dataset, storage
from autotune.errors import DataError, StorageError


def read(path, tiny, pipe):
    """In a process of its own: map the file, read every value, and measure once all have read."""
    storage.load(tiny)[0]["inputs"].sum(dtype=float)  # what the libraries set up once is not a copy
    before = own_kib()
    bulk, _ = storage.load(path)
    pipe.send(float(sum(values.sum(dtype=float) for values in bulk.values())))
    pipe.recv()
    pipe.send((mapped_kib(path), own_kib() - before))
    pipe.recv()


def mapped_kib(path):
    """This process's share of the file's pages in memory."""
    share, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = str(path) in line
        elif ours and line.startswith("Pss:"):
            share += int(line.split()[1])
    return share


def own_kib():
    return int(re.search(r"Private_Dirty:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text())[1])


@pytest.fixture
def data():
    return Dataset.from_arrays(np.arange(600, dtype=np.float32).reshape(100, 3, 2), np.arange(100) % 4)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures with /proc")
def test_several_processes_share_one_copy(tmp_path):
    rows = 64
    pixels = np.random.default_rng(0).integers(0, 255, (rows, 1 << 20), dtype=np.uint8)
    path = Dataset.from_arrays(pixels, np.arange(rows) % 2).save(tmp_path / "data.arrow")
    tiny = Dataset.from_arrays([[1.0]]).save(tmp_path / "tiny.arrow")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["autotune.data.storage"])  # imports once for all readers
    readers, pipes = [], []
    for _ in range(4):
        here, there = context.Pipe()
        readers.append(context.Process(target=read, args=(path, tiny, there), daemon=True))
        readers[-1].start()
        pipes.append(here)
    totals = [pipe.recv() for pipe in pipes]
    for pipe in pipes:
        pipe.send("measure")
    mapped, own = zip(*(pipe.recv() for pipe in pipes), strict=True)
    for pipe, reader in zip(pipes, readers, strict=True):
        pipe.send("end")
        reader.join()
    one_copy = path.stat().st_size / 1024
    assert set(totals) == {float(pixels.sum(dtype=float)) + rows // 2}
    assert 0.9 * one_copy < sum(mapped) < 1.1 * one_copy
    assert max(own) < 0.2 * one_copy, "no reader keeps a copy of its own"


def test_save_replaces_atomically_and_leaves_nothing_beside(data, tmp_path):
    path = tmp_path / "deep" / "data.arrow"
    data.save(path)
    data.take(np.arange(50)).save(path)
    assert Dataset.open(path).n == 50
    assert [each.name for each in path.parent.iterdir()] == ["data.arrow"]


def test_opened_data_outlives_the_file(data, tmp_path):
    path = data.save(tmp_path / "data.arrow")
    opened = Dataset.open(path)
    path.unlink()
    assert np.array_equal(opened.inputs, data.inputs)


def test_unwritable_path(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write the data set to .*; choose a writable path"):
        data.save(tmp_path / "file" / "data.arrow")


def test_missing_file(tmp_path):
    with pytest.raises(StorageError, match=r"cannot read the data set .*nowhere.arrow"):
        Dataset.open(tmp_path / "nowhere.arrow")


@pytest.mark.parametrize("length", [0, 1, 100, -1, -100])
def test_truncated_file(data, tmp_path, length):
    path = data.save(tmp_path / "data.arrow")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"data.arrow is damaged or no Arrow file.*Dataset.save"):
        Dataset.open(path)


def test_foreign_and_newer_files(data, tmp_path):
    foreign = pa.table({"a": [1, 2]})
    with pa.ipc.new_file(str(tmp_path / "foreign.arrow"), foreign.schema) as writer:
        writer.write_table(foreign)
    with pytest.raises(DataError, match=r"was not written by Dataset.save"):
        Dataset.open(tmp_path / "foreign.arrow")
    header = json.dumps({"format": storage.FORMAT + 1, "columns": {}, "meta": {}})
    newer = foreign.replace_schema_metadata({"autotune": header})
    with pa.ipc.new_file(str(tmp_path / "newer.arrow"), newer.schema) as writer:
        writer.write_table(newer)
    with pytest.raises(DataError, match=r"format 2, this version reads up to 1; update"):
        Dataset.open(tmp_path / "newer.arrow")
