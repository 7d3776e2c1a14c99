import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from autotune.data import open_dataset
from autotune.data.originals import describer


def test_rows_of_a_table_are_shown_as_their_file_has_them(tmp_path):
    (tmp_path / "train.csv").write_text("colour,size,label\nred,1,a\nblue,,b\n")
    (tmp_path / "test.csv").write_text("colour,size,label\ngreen,3,a\n")
    told = describer(tmp_path)(np.array([2, 0, 1]))
    assert told == ["colour green, size 3, label a", "colour red, size 1, label a", "colour blue, label b"]


def test_lists_and_pictures_are_left_out(tmp_path):
    table = pa.table({"word": ["yes", "no"], "vector": [[1.0], [2.0]], "label": [0, 1]})
    pq.write_table(table, tmp_path / "data.parquet")
    assert describer(tmp_path / "data.parquet")(np.array([1])) == ["word no, label 1"]


def test_texts_are_shown_as_they_were(tmp_path):
    (tmp_path / "lines.txt").write_text("a Who is it?\nb What  now\n")
    told = describer(tmp_path / "lines.txt")(np.array([0, 1]))
    assert told[0] == "Who is it?"
    assert len(told) == open_dataset(tmp_path / "lines.txt").n


def test_pictures_and_digits_speak_for_themselves(tmp_path):
    assert describer("digits") is None
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"")
    assert describer(tmp_path) is None
