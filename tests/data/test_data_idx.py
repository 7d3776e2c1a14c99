import gzip
import struct

import numpy as np
import pytest

from autotune.data import Dataset, Splits, idx
from autotune.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def encode(values):
    code = CODES[values.dtype.str[1:]]
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def write(folder, part, n, *, compress=True, shape=(4, 5), labels=None):
    generator = np.random.default_rng(n)
    images = generator.integers(0, 255, (n, *shape), dtype=np.uint8)
    labels = np.arange(n, dtype=np.uint8) % 3 if labels is None else labels
    pack, suffix = (gzip.compress, ".gz") if compress else (bytes, "")
    (folder / f"{part}-images-idx3-ubyte{suffix}").write_bytes(pack(encode(images)))
    (folder / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(pack(encode(labels)))
    return images, labels


@pytest.mark.parametrize("compress", [True, False])
def test_training_rows_come_first_then_the_official_test(tmp_path, compress):
    train, train_labels = write(tmp_path, "train", 200, compress=compress)
    test, test_labels = write(tmp_path, "t10k", 60, compress=compress)
    data = Dataset.from_idx(tmp_path)
    assert np.array_equal(data.inputs[:, 0], np.concatenate([train, test]))
    assert data.inputs.dtype == np.uint8
    assert np.array_equal(data.targets, np.concatenate([train_labels, test_labels]))
    assert Splits.make(data, validation=0.2).test.tolist() == list(range(200, 260))


def test_without_t10k_there_is_no_official_test(tmp_path):
    write(tmp_path, "train", 50)
    assert Dataset.from_idx(tmp_path).official_test is None


def test_label_numbers_with_gaps_become_ids_with_names(tmp_path):
    write(tmp_path, "train", 40, labels=np.array([3, 7], np.uint8)[np.arange(40) % 2])
    data = Dataset.from_idx(tmp_path)
    assert data.names == ("3", "7")
    assert data.targets[:3].tolist() == [0, 1, 0]


@pytest.mark.parametrize("dtype", sorted(CODES))
def test_all_types(tmp_path, dtype):
    values = np.array([[1, 2, 3], [100, 5, 6]], dtype)
    (tmp_path / "values").write_bytes(encode(values))
    found = idx.read_file(tmp_path / "values")
    assert np.array_equal(found, values)
    assert found.dtype == values.dtype
    assert found.dtype.isnative


def test_missing_file_says_what_was_expected(tmp_path):
    write(tmp_path, "train", 9)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\[.gz\] does not exist; .*has: train"):
        Dataset.from_idx(tmp_path)
    with pytest.raises(DataError, match=r"nowhere.* does not exist"):
        Dataset.from_idx(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda raw: gzip.compress(raw)[:-20], "truncated or no gzip file"),
        (lambda raw: raw, "truncated or no gzip file: Not a gzipped file"),
        (lambda raw: gzip.compress(b"\1" + raw[1:]), "is no IDX file: it starts with 01000803"),
        (lambda raw: gzip.compress(b""), "it starts with nothing"),
        (lambda raw: gzip.compress(raw[:10]), "truncated in its header"),
        (lambda raw: gzip.compress(raw[:-7]), r"truncated: 173 of 180 bytes of shape \(9, 4, 5\)"),
        (lambda raw: gzip.compress(raw + b"0"), "more bytes than its shape"),
        (lambda raw: gzip.compress(raw[:4] + b"\xff" * 12 + raw[16:]), "which do not fit; is it damaged"),
        (lambda raw: gzip.compress(encode(np.zeros((8, 4, 5), np.uint8))), "train has 8 images but 9 labels"),
        (lambda raw: gzip.compress(encode(np.zeros(9, np.uint8))), "got 1 and 1; are the files swapped"),
    ],
)
def test_damaged_files(tmp_path, change, text):
    images, _ = write(tmp_path, "train", 9)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(change(encode(images)))
    with pytest.raises(DataError, match=text):
        Dataset.from_idx(tmp_path)


def test_parts_of_different_size(tmp_path):
    write(tmp_path, "train", 9)
    write(tmp_path, "t10k", 9, shape=(4, 4))
    with pytest.raises(DataError, match="train and t10k images differ in size"):
        Dataset.from_idx(tmp_path)
