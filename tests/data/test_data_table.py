import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from autotune.data import Dataset, HashingTokenizer
from autotune.errors import DataError

ROWS = 60
LABELS = [i % 3 for i in range(ROWS)]


def table(**columns):
    return pa.table({**columns, "label": LABELS})


def encoded(pixels, kind="PNG", mode=None):
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(
        buffer, kind, **({"lossless": True} if kind == "WEBP" else {})
    )
    return buffer.getvalue()


def image_column(contents):
    return pa.array([{"bytes": content, "path": None} for content in contents])


def test_numbers_and_categories():
    rows = table(size=np.arange(ROWS), colour=["red", "blue", None] * 20, flag=[True, False] * 30)
    data = Dataset.from_table(rows, target="label")
    assert data.inputs.dtype == np.float32
    assert data.inputs.shape == (ROWS, 1 + 3 + 1)  # size; ?, blue, red; flag
    assert data.inputs[:3].tolist() == [[0, 0, 0, 1, 1], [1, 0, 1, 0, 0], [2, 1, 0, 0, 1]]


def test_missing_numbers_are_marked():
    data = Dataset.from_table(table(a=[5, None] * 30, b=[1.5] * ROWS), target="label")
    assert data.inputs[:2].tolist() == [[5, 0, 1.5], [0, 1, 1.5]]


def test_inputs_are_read_in_the_order_given():
    rows = table(a=[1] * ROWS, b=[2] * ROWS, c=[3] * ROWS)
    assert Dataset.from_table(rows, target="label", inputs=["c", "a"]).inputs[0].tolist() == [3, 1]
    assert Dataset.from_table(rows, target="label", inputs="b").inputs.shape == (ROWS, 1)


def test_kept_columns_are_no_inputs():
    days = pa.array(np.arange(ROWS).astype("M8[D]"))
    data = Dataset.from_table(
        table(a=np.arange(ROWS), day=days, site=["x", "y"] * 30), target="label", keep=["day", "site"]
    )
    assert data.inputs.shape == (ROWS, 1)
    assert np.array_equal(np.argsort(data.columns["day"]), np.arange(ROWS))
    assert data.columns["site"].tolist() == [0, 1] * 30


def test_lists_keep_their_shape():
    values = np.arange(ROWS * 6, dtype=np.float32)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(values), 3)
    data = Dataset.from_table(table(a=pa.FixedSizeListArray.from_arrays(inner, 2)), target="label")
    assert np.array_equal(data.inputs, values.reshape(ROWS, 2, 3))
    loose = Dataset.from_table(table(a=values.reshape(ROWS, 6).tolist()), target="label")
    assert np.array_equal(loose.inputs, values.reshape(ROWS, 6))
    sliced = Dataset.from_table(table(a=inner.slice(0, ROWS)).slice(10), target="label")
    assert np.array_equal(sliced.inputs, values.reshape(-1, 3)[10:ROWS])


def test_one_text_column_becomes_tokens():
    words = [f"word{i} common" for i in range(ROWS)]
    tokenizer = HashingTokenizer(100, 4)
    data = Dataset.from_table(table(a=words), target="label", tokenizer=tokenizer)
    assert np.array_equal(data.inputs, tokenizer.encode(words))


def test_kind_decides_about_whole_numbers():
    prices = pa.table({"a": [1.0] * 300, "price": np.arange(300) * 7})
    with pytest.raises(DataError, match="300 different whole numbers with gaps; say kind='regression'"):
        Dataset.from_table(prices, target="price")
    assert Dataset.from_table(prices, target="price", kind="regression").kind == "regression"
    floats = pa.table({"a": [1.0] * 4, "y": [3.0, 7.0, 3.0, 7.0]})
    assert Dataset.from_table(floats, target="y").kind == "regression"
    assert Dataset.from_table(floats, target="y", kind="classification").names == ("3", "7")


def test_without_target():
    assert Dataset.from_table(pa.table({"a": [1, 2]}), target=None).kind == "unlabelled"


@pytest.mark.parametrize(
    ("columns", "arguments", "text"),
    [
        ({"a": [1.0] * ROWS}, {"target": "lable"}, "did you mean 'label'"),
        (
            {"a": [1.0] * ROWS},
            {"kind": "clasification"},
            "unknown kind 'clasification'; did you mean 'classification'",
        ),
        ({"a": [1.0] * ROWS}, {"keep": ["inputs"]}, "a reserved column name"),
        ({"a": [1.0] * ROWS}, {"inputs": ["a", "label"]}, "inputs must not hold the target 'label'"),
        ({}, {}, "inputs must be one column of images or lists, or scalars"),
        ({"a": [float("nan")] * ROWS}, {}, "NaN or infinity in 60 of 60 rows"),
        ({"a": np.arange(ROWS).astype("M8[D]")}, {}, "for groups and times, name it in keep="),
        ({"a": [f"{i}" for i in range(ROWS)] * 1, "b": [1] * ROWS}, {"kind": "regression"}, None),
        ({"a": [[1], [1, 2]] * 30}, {}, r"lists of 'a' must have one length, got \[1, 2\]"),
        ({"a": [[1], None] * 30}, {}, "30 missing lists"),
        ({"a": [["x"]] * ROWS}, {}, "must hold numbers, got string"),
    ],
)
def test_unusable_tables(columns, arguments, text):
    if text is None:
        assert Dataset.from_table(table(**columns), **{"target": "label", **arguments}).kind == "regression"
        return
    with pytest.raises(DataError, match=text):
        Dataset.from_table(table(**columns), **{"target": "label", **arguments})


def test_too_many_categories():
    rows = pa.table({"a": [f"{i}" for i in range(300)], "b": [1] * 300, "y": [0, 1] * 150})
    with pytest.raises(DataError, match="'a' has 300 different texts, at most 256"):
        Dataset.from_table(rows, target="y")


def test_missing_targets():
    with pytest.raises(DataError, match="target 'y' is missing in 1 rows, first at row id 1"):
        Dataset.from_table(pa.table({"a": [1, 2, 3], "y": [0, None, 1]}), target="y")


@pytest.mark.parametrize(("kind", "channels"), [("PNG", 3), ("PNG", 1), ("WEBP", 3)])
def test_images_are_decoded_in_order(tmp_path, kind, channels):
    shape = (ROWS, 6, 5) if channels == 1 else (ROWS, 6, 5, channels)
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    rows = table(image=image_column([encoded(each, kind) for each in pixels]))
    expected = pixels[:, None] if channels == 1 else pixels.transpose(0, 3, 1, 2)
    assert np.array_equal(Dataset.from_table(rows, target="label").inputs, expected)
    for part, piece in [
        ("train-0", rows.slice(0, 20)),
        ("train-1", rows.slice(20, 30)),
        ("test-0", rows.slice(50)),
    ]:
        pq.write_table(piece, tmp_path / f"{part}.parquet", row_group_size=7)
    data = Dataset.from_parquet(tmp_path, target="label")
    assert np.array_equal(data.inputs, expected)
    assert data.official_test.tolist() == list(range(50, 60))


def test_image_batches_do_not_change_the_result(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (ROWS, 4, 4, 3), dtype=np.uint8)
    rows = table(image=image_column([encoded(each) for each in pixels]))
    whole = Dataset.from_table(rows, target="label").fingerprint
    monkeypatch.setattr("autotune.data.images.BATCH", 7)
    assert Dataset.from_table(rows, target="label").fingerprint == whole


def test_colour_decides_for_grey_and_palette_images():
    pixels = np.random.default_rng(0).integers(0, 255, (ROWS, 4, 4, 3), dtype=np.uint8)
    contents = [encoded(each, mode=(None, "L", "P", "RGBA")[i % 4]) for i, each in enumerate(pixels)]
    assert Dataset.from_table(table(image=image_column(contents)), target="label").inputs.shape == (
        ROWS,
        3,
        4,
        4,
    )


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (None, "row id 17 has no bytes"),
        (b"no image", "row id 17 cannot be decoded"),
        (encoded(np.zeros((4, 4), np.uint8))[:-30], "row id 17 cannot be decoded"),
        (encoded(np.zeros((4, 5), np.uint8)), r"row id 17 has shape \(1, 4, 5\), the first has \(1, 4, 4\)"),
        (encoded(np.zeros((4, 4, 3), np.uint8)), "row id 17 is in colour, the first is grey"),
    ],
)
def test_bad_images_are_named(other, text):
    contents = [encoded(np.zeros((4, 4), np.uint8))] * ROWS
    contents[17] = other
    with pytest.raises(DataError, match=text):
        Dataset.from_table(table(image=image_column(contents)), target="label")


def test_parquet_parts_and_columns_of_the_training_files_only(tmp_path):
    rows = table(a=np.arange(ROWS), noisy=[(i + 1) % 3 for i in range(ROWS)], colour=["x", "y"] * 30)
    pq.write_table(rows.slice(0, 40), tmp_path / "train.parquet")
    late = rows.slice(40).drop(["noisy"]).set_column(1, "colour", pa.array(["new", "y"] * 10))
    pq.write_table(late, tmp_path / "test.parquet")
    data = Dataset.from_parquet(tmp_path, target="label", keep=["noisy"])
    assert data.columns["noisy"][40:].tolist() == [-1] * 20
    assert data.inputs[40].tolist() == [40, 0, 0], "a category that training never saw is all zeros"
    with pytest.raises(DataError, match="target 'noisy' is missing in the test files; they have: "):
        Dataset.from_parquet(tmp_path, inputs=["a"], target="noisy")
    with pytest.raises(DataError, match="column 'noisy' is missing in the test files"):
        Dataset.from_parquet(tmp_path, target="label")
    assert Dataset.from_parquet(str(tmp_path / "test*"), target="label").official_test is None


def test_classes_of_the_test_part_only(tmp_path):
    pq.write_table(pa.table({"a": [1, 2], "y": ["b", "c"]}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"a": [1, 2], "y": ["b", "d"]}), tmp_path / "test.parquet")
    with pytest.raises(
        DataError, match=r"classes \['d'\] in the test files only; the training files have \['b', 'c'\]"
    ):
        Dataset.from_parquet(tmp_path, target="y")


def test_damaged_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(a=np.arange(ROWS)), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a.parquet is damaged or no Parquet file"):
        Dataset.from_parquet(path, target="label")
    with pytest.raises(DataError, match=r"b.parquet does not exist; .* has: a.parquet"):
        Dataset.from_parquet(tmp_path / "b.parquet", target="label")


@pytest.mark.parametrize(("dtype", "mode"), [(np.uint16, "I;16"), (np.float32, "F")])
def test_images_of_more_than_eight_bits_are_refused_and_not_cut_off(dtype, mode):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(16, dtype=dtype).reshape(4, 4) * 4000).save(buffer, "TIFF")
    rows = pa.table({"image": image_column([buffer.getvalue()]), "label": [0]})
    with pytest.raises(DataError, match=rf"row id 0 has more than 8 bits per pixel \(mode {mode}"):
        Dataset.from_table(rows, target="label")


def test_lists_of_another_length_in_the_test_files_are_refused_and_empty_files_are_nothing(tmp_path):
    pq.write_table(pa.table({"x": [[1.0, 2.0]] * 4, "label": [0, 1] * 2}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"x": [[1.0, 2.0, 3.0]], "label": [0]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"must have one length, got \(2,\) and in the test files \(3,\)"):
        Dataset.from_parquet(tmp_path, target="label")
    empty = pa.table({"x": pa.array([], pa.list_(pa.float64())), "label": pa.array([], pa.int64())})
    pq.write_table(empty, tmp_path / "test.parquet")
    assert Dataset.from_parquet(tmp_path, target="label").inputs.shape == (4, 2)
