import numpy as np
import pytest

from autotune.data import Dataset, Splits
from autotune.errors import DataError

HEADER = ["age", "job", "income"]
ROWS = "".join(f"{20 + i}, {'clerk' if i % 3 else '?'}, {'>50K' if i % 2 else '<=50K'}\n" for i in range(90))


def test_blanks_and_question_marks(tmp_path):
    (tmp_path / "a.csv").write_text(ROWS)
    data = Dataset.from_csv(tmp_path / "a.csv", target="income", header=HEADER)
    assert data.names == ("<=50K", ">50K")
    assert data.inputs[:2].tolist() == [[20, 1, 0], [21, 0, 1]]


def test_header_line(tmp_path):
    (tmp_path / "a.csv").write_text("age, job, income\n" + ROWS)
    assert Dataset.from_csv(tmp_path, target="income").n == 90


def test_full_stop_after_test_labels(tmp_path):
    (tmp_path / "x-train.csv").write_text(ROWS)
    (tmp_path / "x-test.csv").write_text(ROWS.replace("50K\n", "50K.\n"))
    data = Dataset.from_csv(tmp_path, target="income", header=HEADER)
    assert np.array_equal(data.targets[:90], data.targets[90:])
    assert np.array_equal(Splits.make(data, validation=0.4).test, np.arange(90, 180))


def test_nothing_about_test_rows_reaches_the_encoding_of_training_rows(tmp_path):
    (tmp_path / "x-train.csv").write_text(ROWS)
    encodings = []
    for test in (ROWS, "99999, pilot, >50K\n?, clerk, >50K\n"):
        (tmp_path / "x-test.csv").write_text(test)
        encodings.append(Dataset.from_csv(tmp_path, target="income", header=HEADER).inputs[:90])
    assert np.array_equal(*encodings)


def test_a_late_fraction_does_not_break_whole_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + "1,0\n" * 300_000 + "1.5,1\n")
    assert Dataset.from_csv(tmp_path / "a.csv", target="y").inputs[-1, 0] == 1.5


def test_dates_for_a_split_by_time(tmp_path):
    (tmp_path / "a.csv").write_text(
        "day,x,y\n" + "".join(f"2020-{1 + i % 12:02}-11,{i},{i % 2}\n" for i in range(360))
    )
    data = Dataset.from_csv(tmp_path, target="y", keep=["day"])
    splits = Splits.make(data, by="time", column="day")
    assert data.columns["day"][splits.train].max() <= data.columns["day"][splits.test].min()


@pytest.mark.parametrize(
    ("content", "arguments", "text"),
    [
        (
            ROWS,
            {"target": "income"},
            r"looks like data: \['20', '\?', '<=50K'\]; name the columns with header=",
        ),
        (ROWS, {"target": "x", "header": ["x", "y"]}, "expected 2 columns as in header="),
        ("", {"target": "x"}, "is no CSV table"),
        ("x,y\n", {"target": "y"}, "has no rows"),
        ("x,x,y\n1,2,0\n", {"target": "y", "inputs": "x"}, "column names must differ, got 'x' 2 times"),
        ("x,y\ninf,0\n1,1\n", {"target": "y"}, "infinity in 1 of 2 rows, first at row id 0"),
    ],
)
def test_unusable_files(tmp_path, content, arguments, text):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=text):
        Dataset.from_csv(tmp_path / "a.csv", **arguments)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"a.csv does not exist"):
        Dataset.from_csv(tmp_path / "a.csv", target="y")


@pytest.mark.parametrize("text", ["größe,income\n1,2\n", "size,income\n1,größer\n2,kleiner\n"])
def test_text_that_is_not_utf8_is_refused_in_words(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode("iso-8859-1"))
    with pytest.raises(DataError, match="not UTF-8; save it as UTF-8"):
        Dataset.from_csv(tmp_path / "a.csv", target="income")
