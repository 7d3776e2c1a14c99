import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autotune.data import Dataset, digits, standardise
from autotune.errors import DataError
from autotune.testing.datasets import DatasetContract

FLOATS = np.linspace(0, 1, 400, dtype=np.float32).reshape(200, 2)
CLASSES = np.arange(200) % 3


class TestDigits(DatasetContract):
    @pytest.fixture
    def dataset(self):
        return digits()


class TestOpened(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path):
        return Dataset.open(digits().take(np.arange(400)).save(tmp_path / "first.arrow"))


class TestRegression(DatasetContract):
    @pytest.fixture
    def dataset(self):
        return Dataset.from_arrays(FLOATS, np.linspace(-1, 1, 200), site=CLASSES.astype(np.int16))


class TestNamedClassesWithOfficialTest(DatasetContract):
    @pytest.fixture
    def dataset(self):
        words = np.array(["cat", "dog", "eel"])[CLASSES]
        return Dataset.from_arrays(
            FLOATS.astype(np.float16), words, official_test=np.arange(200) >= 150, when=np.arange(200) * 0.5
        )


class TestUnlabelled(DatasetContract):
    @pytest.fixture
    def dataset(self):
        return Dataset.from_arrays(np.arange(200, dtype=np.uint8)[:, None], seen=CLASSES == 0)


def test_matching_arrays_are_shared_not_copied():
    data = Dataset.from_arrays(FLOATS, CLASSES)
    assert np.shares_memory(data.inputs, FLOATS)
    assert FLOATS.flags.writeable, "the user's own array stays as it was"


def test_types_are_what_training_wants():
    data = Dataset.from_arrays(FLOATS.astype(">f8"), CLASSES.astype(np.uint8), time=np.arange(200.0))
    assert data.inputs.dtype == np.float32
    assert data.inputs.dtype.isnative
    assert data.targets.dtype == np.int64
    assert data.columns["time"].dtype == np.float64


def test_text_targets_become_named_ids():
    data = Dataset.from_arrays(FLOATS[:4], ["b", "a", "b", "c"])
    assert data.targets.tolist() == [1, 0, 1, 2]
    assert data.names == ("a", "b", "c")
    assert data.classes == 3


def test_given_names_decide_the_ids():
    data = Dataset.from_arrays(FLOATS[:3], ["b", "a", "b"], names=["b", "a", "never seen"])
    assert data.targets.tolist() == [0, 1, 0]
    assert data.classes == 3
    with pytest.raises(DataError, match="unknown class name 'bb'; did you mean 'b'"):
        Dataset.from_arrays(FLOATS[:3], ["bb", "a", "b"], names=["b", "a"])


def test_dates_and_text_columns_become_numbers():
    data = Dataset.from_arrays(
        FLOATS[:3],
        [0, 1, 0],
        day=np.array(["2020-01-02", "2020-01-01", "2020-01-03"], "M8[D]"),
        site=["x", "y", "x"],
    )
    assert np.argsort(data.columns["day"]).tolist() == [1, 0, 2]
    assert data.columns["site"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("inputs", "targets", "text"),
    [
        (np.empty((0, 2)), [], r"must not be empty, got shape \(0, 2\)"),
        (FLOATS[:3], [0, 1], "same number of rows, got .*'inputs': 3, 'targets': 2"),
        (FLOATS[:3], [0, 0, 0], "at least 2 classes, got only class 0 in all 3 rows"),
        (FLOATS[:3], [0, -1, 1], r"class ids 0..classes-1, got -1 at row id 1; drop unlabelled"),
        (FLOATS[:4], [0, 1, 3, 1], "got up to 3 but no row of class 2; give names="),
        (FLOATS[:3], [0, 1, 10**15], "pass float targets for regression"),
        (
            FLOATS[:3],
            [0.0, np.nan, 1.0],
            "targets must be finite, got NaN or infinity in 1 of 3 rows, first at row id 1",
        ),
        (FLOATS[:3], [[0], [1], [1]], r"class ids must have shape \(n,\)"),
        (["a text", "b", "c"], [0, 1, 0], "tokenise text inputs"),
        (3.0, None, "one row per sample"),
        (FLOATS[:2], [object(), 1], "must hold numbers or texts, got object at row id 0"),
    ],
)
def test_unusable_data_is_refused(inputs, targets, text):
    with pytest.raises(DataError, match=text):
        Dataset.from_arrays(inputs, targets)


def test_labels_beyond_the_names_are_refused():
    with pytest.raises(DataError, match=r"in \[0, 2\), got 2 at row id 1"):
        Dataset.from_arrays(FLOATS[:3], [0, 2, 1], names=["a", "b"])


@given(hnp.arrays(np.float32, (50, 3), elements=st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf])))
def test_every_bad_row_is_counted(inputs):
    bad = np.flatnonzero(~np.isfinite(inputs).all(axis=1))
    if not len(bad):
        assert Dataset.from_arrays(inputs).n == 50
        return
    with pytest.raises(DataError, match=f"in {len(bad)} of 50 rows, first at row id {bad[0]};"):
        Dataset.from_arrays(inputs)


def test_bad_values_are_found_in_later_blocks(monkeypatch):
    monkeypatch.setattr("autotune.data.columns.BLOCK_BYTES", 64)
    inputs = np.zeros((100, 4), np.float32)
    inputs[[73, 99], 2] = np.nan
    with pytest.raises(DataError, match="in 2 of 100 rows, first at row id 73"):
        Dataset.from_arrays(inputs)


def test_fingerprint_does_not_depend_on_blocks(monkeypatch):
    whole = Dataset.from_arrays(FLOATS, CLASSES).fingerprint
    monkeypatch.setattr("autotune.data.columns.BLOCK_BYTES", 56)
    assert Dataset.from_arrays(FLOATS, CLASSES).fingerprint == whole


def test_fingerprint_tells_columns_apart():
    zeros = np.zeros(4, np.int8)
    prints = {
        Dataset.from_arrays(zeros, a=zeros).fingerprint,
        Dataset.from_arrays(zeros, b=zeros).fingerprint,
        Dataset.from_arrays(zeros.astype(np.uint8), a=zeros).fingerprint,
        Dataset.from_arrays(zeros[:, None], a=zeros).fingerprint,
    }
    assert len(prints) == 4


def test_unlabelled_data_says_so():
    data = Dataset.from_arrays(FLOATS)
    assert data.kind == "unlabelled"
    with pytest.raises(DataError, match="no targets"):
        _ = data.targets
    with pytest.raises(DataError, match="for classification only"):
        _ = data.classes


def test_with_columns_replaces_and_checks():
    data = Dataset.from_arrays(FLOATS, CLASSES, names=["a", "b", "c"])
    noisy = data.with_columns(targets=(data.targets + 1) % 3)
    assert noisy.names == data.names
    assert noisy.fingerprint != data.fingerprint
    with pytest.raises(DataError, match="got 3 at row id 2"):
        data.with_columns(targets=data.targets + 1)


def test_take_keeps_the_meaning_of_class_ids():
    part = Dataset.from_arrays(FLOATS, CLASSES).take(np.flatnonzero(CLASSES != 2))
    assert part.classes == 3
    assert part.n == int((CLASSES != 2).sum())


def test_standardise_reads_the_given_rows_only():
    rows = np.arange(100)
    data = Dataset.from_arrays(np.column_stack([FLOATS, np.ones(200)]), CLASSES)
    scaled = standardise(data, rows)
    np.testing.assert_allclose(scaled.inputs[rows][:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.inputs[rows][:, :2].std(axis=0), 1, atol=1e-5)
    assert (scaled.inputs[:, 2] == 0).all()
    spoilt = data.with_columns(inputs=np.where(np.arange(200)[:, None] < 100, data.inputs, 1e6))
    assert np.array_equal(standardise(spoilt, rows).inputs[rows], scaled.inputs[rows])
    with pytest.raises(DataError, match="scale images in the model"):
        standardise(digits(), rows)
