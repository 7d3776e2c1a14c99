"""The four splits of a study, fixed once for every trial."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from autotune.data import partition
from autotune.data.columns import TARGETS, Array
from autotune.data.dataset import Dataset
from autotune.errors import DataError, unknown
from autotune.seeds import derive

Ids = npt.NDArray[np.int64]
Share = float | Sequence[int] | Array

LEAST_VALIDATION: Final = 30  # below that, one sample is over 3 points of accuracy
_RULES: Final[dict[str, Callable[..., dict[str, Array]]]] = {
    "class": partition.by_class,
    "random": partition.at_random,
    "group": partition.by_group,
    "time": partition.by_time,
}


@dataclass(frozen=True, eq=False)
class Splits:
    """Disjoint sample ids, each sorted and read-only; rows in none of them are not used.

    A study needs all but `target`, see `check`; what trains a single model needs `train` alone.

    Attributes:
        train: What models are fitted to.
        target: What selectors may look at besides train; may be empty.
        validation: What ranks trials, and nothing else.
        test: Touched once, by the verdict.
    """

    train: Ids
    target: Ids
    validation: Ids
    test: Ids

    def __post_init__(self) -> None:
        for name, ids in self.bulk().items():
            object.__setattr__(self, name, _ids(name, ids))
        named = list(self.bulk().items())
        for i, (name, ids) in enumerate(named):
            for other, others in named[i + 1 :]:
                shared = np.intersect1d(ids, others, assume_unique=True)
                if len(shared):
                    raise DataError(
                        f"splits must not overlap: {name} and {other} share {len(shared)} samples, first id "
                        f"{shared[0]}; give each sample to one split"
                    )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the ids of all splits, as hex."""
        digest = hashlib.sha256()
        for name, ids in self.bulk().items():
            digest.update(f"{name}\0{len(ids)}\0".encode())
            digest.update(ids.astype("<i8", copy=False).data)
        return digest.hexdigest()

    def bulk(self) -> dict[str, Ids]:
        """The ids by split name; `Splits(**bulk)` is the same splits."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def check(self, data: Dataset) -> None:
        """Refuse splits that do not fit the data or cannot rank trials.

        Raises:
            DataError: For an empty split, ids out of range, one-class training data or too small a
                validation split.
        """
        for name, ids in self.bulk().items():
            if not len(ids) and name != "target":
                raise DataError(
                    f"{name} must not be empty, got 0 samples; give it a larger share or its own ids"
                )
            if len(ids) and ids[-1] >= data.n:
                raise DataError(
                    f"{name} ids must be in [0, {data.n}), got {ids[-1]}; ids are row numbers of the data"
                )
        classification = data.kind == "classification"
        least = max(LEAST_VALIDATION, data.classes if classification else 0)
        if len(self.validation) < least:
            raise DataError(
                f"validation must have at least {least} samples to rank trials, got {len(self.validation)} "
                "of "
                f"{data.n}; raise validation= or bring more data"
            )
        for name, ids in (("train", self.train), ("validation", self.validation)):
            if classification and np.ptp(data.targets[ids]) == 0:
                raise DataError(
                    f"{name} must have at least 2 classes, got only class {data.targets[ids[0]]}; split "
                    "by='class'"
                )

    @classmethod
    def make(
        cls,
        data: Dataset,
        *,
        target: Share = 0.05,
        validation: Share = 0.1,
        test: Share | None = None,
        by: str | None = None,
        column: str | None = None,
        seed: int = 0,
    ) -> Splits:
        """Split data; what no other split takes is `train`.

        Args:
            data: What to split.
            target: A share of the rows that are not given as ids, or sample ids; 0 = none.
            validation: A share, or sample ids.
            test: A share, or sample ids; None = the official test part of the data, or else 0.2.
            by: "class" keeps the shares within each class, and each class in every split where it has
                enough samples; "group" never spreads a group over splits; "time" takes the latest rows for
                test, then validation, then target; "random" does none of these. None = "class" for
                classification and "random" otherwise.
            column: The column with classes, groups or times; for "class", None = the targets.
            seed: Decides every draw.

        Raises:
            DataError: When a split would be empty, overlap, not fit the data or be too small.
        """
        if test is None:
            test = 0.2 if data.official_test is None else data.official_test
        by = by or ("class" if data.kind == "classification" else "random")
        if by not in _RULES:
            raise DataError(unknown("split rule", by, _RULES))
        wishes = {"test": test, "validation": validation, "target": target}
        given = {name: _ids(name, wish) for name, wish in wishes.items() if not isinstance(wish, int | float)}
        shares = {name: float(wish) for name, wish in wishes.items() if isinstance(wish, int | float)}
        _check_shares(shares)
        _check_range(given, data.n)
        keys = _keys(data, by, column)
        taken = np.concatenate([*given.values(), np.empty(0, np.int64)])
        rest = np.setdiff1d(np.arange(data.n), taken)
        if keys is not None and by == "group":
            _check_groups(keys, given, rest)
        sizes = {name: share * len(rest) for name, share in shares.items() if share > 0}
        if not len(rest):
            raise DataError(f"train must not be empty, the given ids take all {data.n} rows; leave some out")
        generator = np.random.default_rng(derive(seed, "splits"))
        drawn = _RULES[by](rest, None if keys is None else keys[rest], sizes, generator)
        found = {"target": np.empty(0, np.int64), **given, **drawn}
        train = np.setdiff1d(rest, np.concatenate([*drawn.values(), np.empty(0, np.int64)]))
        splits = cls(train=train, **found)
        splits.check(data)
        return splits


def _ids(name: str, given: Any) -> Ids:
    ids = np.asarray(given)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "ui"):
        raise DataError(
            f"{name} must be whole sample ids of shape (k,), got {ids.dtype} of shape {ids.shape}; for a "
            "mask pass "
            "np.flatnonzero(mask)"
        )
    ids = np.sort(ids.astype(np.int64))
    if len(ids) and ids[0] < 0:
        raise DataError(f"{name} ids must be >= 0, got {ids[0]}; ids are row numbers of the data")
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        raise DataError(f"{name} has sample id {ids[twice[0]]} more than once; pass np.unique(ids)")
    ids.flags.writeable = False
    return ids


def _check_shares(shares: dict[str, float]) -> None:
    for name, share in shares.items():
        if not 0 <= share < 1 or (share == 0 and name != "target"):
            bound = "[0, 1)" if name == "target" else "(0, 1)"
            raise DataError(
                f"{name} must be a share in {bound} or an array of sample ids, got {share}; try 0.1"
            )
    total = sum(shares.values())
    if total >= 1:
        raise DataError(f"shares must leave samples to train on, got {shares}, {total:g} in all; lower one")


def _check_range(given: dict[str, Ids], n: int) -> None:
    for name, ids in given.items():
        if len(ids) and ids[-1] >= n:
            raise DataError(f"{name} ids must be in [0, {n}), got {ids[-1]}; ids are row numbers of the data")


def _keys(data: Dataset, by: str, column: str | None) -> Array | None:
    if by == "random":
        return None
    if by == "class" and column is None:
        if data.kind != "classification":
            raise DataError(
                f"by='class' needs classes, this data is {data.kind}; name a column= or use by='random'"
            )
        column = TARGETS
    if column is None:
        raise DataError(f"by={by!r} needs column=; this data has: {', '.join(data.columns)}")
    if column not in data.columns:
        raise DataError(unknown("column", column, data.columns))
    keys = data.columns[column]
    if keys.ndim != 1 or (keys.dtype.kind == "f" and not np.isfinite(keys).all()):
        raise DataError(
            f"column {column!r} must hold one finite number per row to split by {by}; fill in missing ones"
        )
    return keys


def _check_groups(keys: Array, given: dict[str, Ids], rest: Ids) -> None:
    places = [*given.items(), ("the other rows", rest)]
    for i, (name, ids) in enumerate(places):
        for other, others in places[i + 1 :]:
            shared = np.intersect1d(keys[ids], keys[others])
            if len(shared):
                raise DataError(
                    f"a group must not straddle splits: group {shared[0]} is in {name} and in {other}; give "
                    "whole "
                    "groups as ids, or shares (test=0.2 instead of an official test part)"
                )
