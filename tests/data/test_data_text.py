import subprocess
import sys

import numpy as np
import pytest

from autotune.data import Dataset, HashingTokenizer
from autotune.errors import DataError


def test_tokens_are_the_same_in_every_process():
    text = "What's the full form of .com, été?"
    code = "from autotune.data.text import HashingTokenizer as T; print(T().encode([{text!r}]).tolist())"
    other = subprocess.run(
        [sys.executable, "-c", code.format(text=text)], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == str(HashingTokenizer().encode([text]).tolist())


def test_tokens_are_padded_cut_and_in_range():
    tokens = HashingTokenizer(vocabulary=50, length=4).encode(["a B c d e f", "A", ""])
    assert tokens.shape == (3, 4)
    assert tokens.dtype == np.int64
    assert (tokens[0] > 0).all()
    assert tokens[1, 0] == tokens[0, 0], "case does not matter"
    assert tokens[1, 1:].tolist() == [0, 0, 0]
    assert not tokens[2].any()
    assert tokens.max() < 50


@pytest.mark.parametrize(("field", "value"), [("vocabulary", 1), ("length", 0)])
def test_tokenizer_bounds(field, value):
    with pytest.raises(DataError, match=f"{field} must be at least .*, got {value}"):
        HashingTokenizer(**{field: value})


def test_lines_with_labels(tmp_path):
    (tmp_path / "q.train.txt").write_bytes("1 Où est-il ?\n0 Who\n".encode("iso-8859-1"))
    (tmp_path / "q.test.txt").write_text("1 Where ?\n\n0 Why\n")
    data = Dataset.from_text(tmp_path)
    assert data.targets.tolist() == [1, 0, 1, 0]
    assert data.official_test.tolist() == [2, 3]
    assert np.array_equal(data.inputs[:1], HashingTokenizer().encode(["Où est-il ?"]))


def test_word_labels_keep_their_names(tmp_path):
    (tmp_path / "all.txt").write_text("spam buy now\nham hello\n")
    assert Dataset.from_text(tmp_path / "all.txt").names == ("ham", "spam")


def test_line_without_text(tmp_path):
    (tmp_path / "all.txt").write_text("0 fine\n\n1\n")
    with pytest.raises(DataError, match=r"all.txt, line 3: expected `label text`, got '1'"):
        Dataset.from_text(tmp_path)
    (tmp_path / "all.txt").write_text("\n")
    with pytest.raises(DataError, match="has no lines"):
        Dataset.from_text(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match=r"no file with suffix .txt.*has: nothing"):
        Dataset.from_text(tmp_path)
    with pytest.raises(DataError, match=r"none.txt does not exist"):
        Dataset.from_text(tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"none.txt is not a file"):
        Dataset.from_text([tmp_path / "none.txt"])


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_a_label(tmp_path):
    (tmp_path / "a.txt").write_bytes("ham one\nspam two\nham three\n".encode("utf-8-sig"))
    assert Dataset.from_text(tmp_path / "a.txt").names == ("ham", "spam")
