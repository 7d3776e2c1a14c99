from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.data import Dataset, Splits, digits
from autotune.errors import DataError

NAMES = ("train", "target", "validation", "test")


def make(targets, **columns):
    targets = np.asarray(targets)
    names = () if targets.dtype.kind == "f" else [f"class {i}" for i in range(int(targets.max()) + 1)]
    return Dataset(
        {"inputs": np.zeros((len(targets), 1), np.float32), "targets": targets, **columns}, tuple(names)
    )


def partitioned(splits, n):
    together = np.concatenate([splits.bulk()[name] for name in NAMES])
    return len(together) == n and len(np.unique(together)) == n


@given(
    st.lists(st.integers(1, 300), min_size=2, max_size=8),
    st.floats(0, 0.2),
    st.floats(0.1, 0.3),
    st.floats(0.1, 0.3),
    st.integers(0, 10),
)
def test_stratified_shares_hold_within_each_class(counts, target, validation, test, seed):
    classes = np.repeat(np.arange(len(counts)), counts)
    classes = np.random.default_rng(seed).permutation(classes)
    try:
        splits = Splits.make(make(classes), target=target, validation=validation, test=test, seed=seed)
    except DataError as error:
        assert sum(counts) * min(validation, test) < 40 or np.sort(counts)[-2] < 4, error
        return
    assert partitioned(splits, len(classes))
    shares = {"target": target, "validation": validation, "test": test}
    wanted = 1 + sum(share > 0 for share in shares.values())
    for name, share in shares.items():
        found = np.bincount(classes[splits.bulk()[name]], minlength=len(counts))
        for count, have in zip(counts, found, strict=True):
            if count * min(1 - sum(shares.values()), *[s for s in shares.values() if s]) >= 2:
                assert abs(have - count * share) < 1 + 1e-9
            if count >= wanted and share:
                assert have >= 1
    assert (np.bincount(classes[splits.train], minlength=len(counts)) >= 1).all()


def test_stratified_totals_are_exact_for_common_classes():
    splits = Splits.make(digits())
    assert {name: len(ids) for name, ids in splits.bulk().items()} == {
        "train": 1168,
        "target": 90,
        "validation": 180,
        "test": 359,
    }


def test_rare_classes_reach_training_first_then_validation():
    splits = Splits.make(make([0] * 200 + [1] * 200 + [2] + [3] * 2))
    assert 400 in splits.train
    assert len(np.intersect1d([401, 402], splits.train)) == 1
    assert len(np.intersect1d([401, 402], splits.validation)) == 1


@given(st.integers(0, 5), st.sampled_from(["class", "random"]))
def test_seed_decides(seed, by):
    data = make(np.arange(600) % 3)
    one = Splits.make(data, by=by, seed=seed)
    assert one.fingerprint == Splits.make(data, by=by, seed=seed).fingerprint
    assert one.fingerprint != Splits.make(data, by=by, seed=seed + 1).fingerprint


def test_global_seed_does_not_matter():
    data = make(np.arange(600) % 3)
    np.random.seed(1)  # noqa: NPY002 -- shows that nothing reads it
    one = Splits.make(data)
    np.random.seed(2)  # noqa: NPY002
    assert one.fingerprint == Splits.make(data).fingerprint


@given(st.integers(5, 60), st.integers(0, 20))
def test_a_group_never_straddles(groups, seed):
    generator = np.random.default_rng(seed)
    sites = generator.integers(0, groups, 2000)
    data = make(np.arange(2000) % 2, site=sites)
    splits = Splits.make(data, by="group", column="site", validation=0.2, seed=seed)
    assert partitioned(splits, 2000)
    places = [set(sites[ids].tolist()) for ids in splits.bulk().values()]
    assert sum(len(place) for place in places) == len(set().union(*places))
    if groups >= 40:
        assert abs(len(splits.test) - 400) < 100


def test_too_few_groups_are_refused():
    data = make(np.arange(90) % 2, site=np.arange(90) % 3)
    with pytest.raises(DataError, match="needs at least 4 groups, one per split, got 3"):
        Splits.make(data, by="group", column="site")


def test_given_ids_must_hold_whole_groups():
    data = make(np.arange(900) % 2, site=np.arange(900) // 9)
    with pytest.raises(DataError, match="group 11 is in test and in the other rows"):
        Splits.make(data, by="group", column="site", test=np.arange(104))
    assert Splits.make(data, by="group", column="site", test=np.arange(108)).test.tolist() == list(range(108))


def test_latest_is_test():
    when = np.random.default_rng(0).permutation(1000).astype(np.float64)
    splits = Splits.make(make(np.arange(1000) % 2, when=when), by="time", column="when")
    bounds = [(when[splits.bulk()[n]].min(), when[splits.bulk()[n]].max()) for n in NAMES]
    assert all(earlier[1] < later[0] for earlier, later in pairwise(bounds))
    assert [len(splits.bulk()[n]) for n in NAMES] == [650, 50, 100, 200]


def test_regression_is_split_at_random_by_default():
    splits = Splits.make(make(np.linspace(0, 1, 500)))
    assert partitioned(splits, 500)


def test_official_test_is_used_unless_told_otherwise():
    data = make(np.arange(500) % 2, official_test=np.arange(500) >= 400)
    assert data.official_test.tolist() == list(range(400, 500))
    splits = Splits.make(data)
    assert splits.test.tolist() == list(range(400, 500))
    assert len(splits.validation) == 40, "shares are of the rows that are left"
    assert Splits.make(data, test=data.official_test).fingerprint == splits.fingerprint
    assert len(Splits.make(data, test=0.2).test) == 100


def test_own_ids_are_kept():
    data = make(np.arange(500) % 2)
    splits = Splits.make(data, target=[7, 3], validation=np.arange(100, 140), test=range(200, 210))
    assert splits.target.tolist() == [3, 7]
    assert splits.validation.tolist() == list(range(100, 140))
    assert partitioned(splits, 500)
    with pytest.raises(ValueError, match="read-only"):
        splits.train[0] = 1


def test_target_may_be_empty():
    assert len(Splits.make(make(np.arange(500) % 2), target=0).target) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"test": 0}, r"test must be a share in \(0, 1\)"),
        ({"target": -0.1}, r"target must be a share in \[0, 1\)"),
        ({"validation": 0.5, "test": 0.5, "target": 0}, "must leave samples to train on"),
        ({"validation": 0.01}, "validation must have at least 30 samples to rank trials, got 5 of 500"),
        (
            {"validation": range(40), "test": range(30, 60)},
            "validation and test share 10 samples, first id 30",
        ),
        ({"test": [499, 500]}, r"test ids must be in \[0, 500\), got 500"),
        ({"test": [-1, 3]}, "test ids must be >= 0, got -1"),
        ({"test": [3, 3]}, "test has sample id 3 more than once"),
        ({"test": np.ones(500, bool)}, r"np.flatnonzero\(mask\)"),
        ({"test": []}, "test must not be empty"),
        ({"test": range(250), "validation": range(250, 500), "target": 0}, "train must not be empty"),
        ({"by": "clas"}, "unknown split rule 'clas'; did you mean 'class'"),
        ({"by": "time"}, "by='time' needs column=; this data has: inputs, targets"),
        ({"by": "time", "column": "wen"}, "unknown column 'wen'"),
        ({"by": "time", "column": "inputs"}, "one finite number per row"),
        ({"test": 0.0001}, "test must not be empty"),
        ({"validation": range(0, 100, 2)}, "validation must have at least 2 classes, got only class 0"),
    ],
)
def test_unusable_splits_are_refused(arguments, text):
    with pytest.raises(DataError, match=text):
        Splits.make(make(np.arange(500) % 2), **{"by": "random", **arguments})


def test_validation_needs_a_sample_per_class():
    with pytest.raises(DataError, match="at least 100 samples to rank trials"):
        Splits.make(make(np.arange(600) % 100), by="random")


def test_one_class_is_refused():
    data = Dataset({"inputs": np.zeros((400, 1)), "targets": np.zeros(400, np.int64)})
    with pytest.raises(DataError, match="at least 2 classes, got only class 0"):
        Splits.make(data)


def test_classes_need_a_class_column():
    with pytest.raises(DataError, match="by='class' needs classes, this data is regression"):
        Splits.make(make(np.linspace(0, 1, 500)), by="class")


def test_splits_survive_their_bulk():
    splits = Splits.make(make(np.arange(500) % 2))
    assert Splits(**splits.bulk()).fingerprint == splits.fingerprint
