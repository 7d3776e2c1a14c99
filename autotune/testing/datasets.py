"""What every data set must keep, whatever it was read from."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from autotune.data import Dataset, Splits


class DatasetContract:
    """Subclass as `Test...` and override `dataset`."""

    @pytest.fixture
    def dataset(self) -> Dataset:
        """The data set under test: checked, with at least two columns' worth of rows to split."""
        raise NotImplementedError("override the fixture `dataset`")

    def test_columns_have_one_row_per_sample(self, dataset: Dataset) -> None:
        assert {len(values) for values in dataset.columns.values()} == {dataset.n}
        assert len(dataset) == dataset.n > 0

    def test_arrays_are_read_only(self, dataset: Dataset) -> None:
        for values in dataset.columns.values():
            assert not values.flags.writeable
        with pytest.raises(TypeError):
            dataset.columns["inputs"] = dataset.inputs  # type: ignore[index]  # that is the point

    def test_targets_fit_the_kind(self, dataset: Dataset) -> None:
        if dataset.kind == "classification":
            assert dataset.targets.dtype == np.int64
            assert 0 <= dataset.targets.min() <= dataset.targets.max() < dataset.classes
            assert not dataset.names or len(dataset.names) == dataset.classes
        elif dataset.kind == "regression":
            assert np.isfinite(dataset.targets).all()

    def test_fingerprint_is_of_the_content(self, dataset: Dataset) -> None:
        copy = Dataset({name: values.copy() for name, values in dataset.columns.items()}, dataset.names)
        assert copy.fingerprint == dataset.fingerprint
        strided = {name: np.repeat(values, 2, axis=0)[::2] for name, values in dataset.columns.items()}
        assert Dataset(strided, dataset.names).fingerprint == dataset.fingerprint

    def test_fingerprint_changes_with_one_value(self, dataset: Dataset) -> None:
        for name, values in dataset.columns.items():
            changed = values.copy()
            changed.reshape(-1).view(np.uint8)[-1] ^= 1
            other = Dataset({**dataset.columns, name: changed}, dataset.names)
            assert other.fingerprint != dataset.fingerprint

    def test_fingerprint_changes_with_the_order_of_rows(self, dataset: Dataset) -> None:
        backwards = dataset.take(np.arange(dataset.n)[::-1])
        if not np.array_equal(backwards.inputs, dataset.inputs):
            assert backwards.fingerprint != dataset.fingerprint

    def test_bulk_round_trip_shares_memory(self, dataset: Dataset) -> None:
        again = Dataset.from_bulk(dataset.bulk(), dataset.meta())
        assert again.fingerprint == dataset.fingerprint
        assert again.names == dataset.names
        for name, values in dataset.columns.items():
            assert np.shares_memory(values, again.columns[name])

    def test_pickle_keeps_everything(self, dataset: Dataset) -> None:
        buffers: list[pickle.PickleBuffer] = []
        text = pickle.dumps(dataset, protocol=5, buffer_callback=buffers.append)
        again = pickle.loads(text, buffers=buffers)  # noqa: S301 -- our own bytes, as Ray passes arguments
        _same(again, dataset)
        assert len(text) < 10_000 + 2 * sum(len(name) + 20 for name in dataset.names)

    def test_saved_file_is_mapped(self, dataset: Dataset, tmp_path: Path) -> None:
        path = dataset.save(tmp_path / "data.arrow")
        before = pa.total_allocated_bytes()
        opened = Dataset.open(path)
        assert pa.total_allocated_bytes() - before < 4096
        for values in opened.columns.values():
            assert not values.flags.owndata
        _same(opened, dataset)
        assert Dataset(opened.columns, opened.names).fingerprint == dataset.fingerprint

    def test_splits_are_disjoint_and_stable(self, dataset: Dataset) -> None:
        splits = Splits.make(dataset, validation=0.3)
        together = np.concatenate(list(splits.bulk().values()))
        assert len(np.unique(together)) == len(together) == dataset.n
        assert splits.fingerprint == Splits.make(dataset, validation=0.3).fingerprint


def _same(found: Dataset, expected: Dataset) -> None:
    assert found.fingerprint == expected.fingerprint
    assert found.names == expected.names
    assert found.kind == expected.kind
    assert set(found.columns) == set(expected.columns)
    for name, values in expected.columns.items():
        assert found.columns[name].dtype == values.dtype
        assert np.array_equal(found.columns[name], values)
