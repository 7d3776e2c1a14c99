import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from autotune.standalone.duplicates import find_duplicates, first_of_content
from autotune.standalone.progress import Silent


def seeded():
    return torch.Generator().manual_seed(0)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_the_first_of_a_content_is_the_first_row_that_equals_it(rows):
    equal = (rows[:, None] == rows[None]).all(2)
    assert first_of_content(rows).tolist() == equal.argmax(1).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, np.bool_])
def test_contents_of_every_type_and_shape_are_told_apart(dtype):
    rows = np.random.default_rng(0).integers(0, 2, (3000, 3, 5)).astype(dtype)
    _, inverse = np.unique(rows.reshape(3000, -1), axis=0, return_inverse=True)
    first = first_of_content(rows)
    assert all(len(set(first[inverse == group])) == 1 for group in range(inverse.max() + 1))
    assert len(set(first)) == inverse.max() + 1


def test_a_negative_zero_is_a_zero():
    assert first_of_content(np.array([[1.0, 0.0], [1.0, -0.0]])).tolist() == [0, 0]


def planted():
    """Points with an exact copy (5 of 2) and a near one (6 of 3)."""
    points = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    points[5] = points[2]
    points[6] = points[3] + 1e-3
    return points


def test_planted_copies_and_near_copies_are_found():
    points = planted()
    found = find_duplicates(first_of_content(points), torch.from_numpy(points), 0.1, seeded(), Silent())
    assert np.flatnonzero(found.exact).tolist() == [5]
    assert found.first[5] == 2
    assert found.nearest[6] == 3
    assert found.nearest[3] == 6
    assert found.near[[3, 6]].all()
    assert found.pairs()[0] == (3, 6, found.distance[6])
    assert np.isclose(np.median(found.distance), 1.0, rtol=0.05)
    assert found.distance[5] == found.distance[2] > 0.1


def test_two_that_are_nearest_to_each_other_are_one_pair():
    points = planted()
    found = find_duplicates(first_of_content(points), torch.from_numpy(points), np.inf, seeded(), Silent())
    pairs = [(one, other) for one, other, _ in found.pairs()]
    assert len(pairs) == len(set(pairs))
    assert {other for pair in pairs for other in pair} == set(range(300)) - {5}
    assert all(one < other for one, other in pairs)
    distances = [apart for _, _, apart in found.pairs()]
    assert distances == sorted(distances)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_samples_equal_ones_and_unusable_features(n):
    points = np.ones((n, 2), np.float32)
    found = find_duplicates(first_of_content(points), torch.from_numpy(points), 0.5, seeded(), Silent())
    assert found.exact.sum() == n - 1
    assert not found.pairs()
    different = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    broken = find_duplicates(
        first_of_content(different), torch.full((n, 2), torch.nan), 0.5, seeded(), Silent()
    )
    assert (broken.nearest == -1).all()
    assert not broken.near.any()
