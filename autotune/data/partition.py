"""Rules that draw held-out splits from rows; what they leave is for training.

Each takes the row ids, one key per row, the wanted sizes by split name and a generator, and gives row ids
by split name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from autotune.data.columns import Array
from autotune.errors import DataError

Sizes = Mapping[str, float]

# Who gets the samples of a class too rare for all: a class that cannot be judged is worse than one unseen in
# the single read of the test split, and selectors can do without a class in their target split.
_PRECEDENCE: Final = ("validation", "test", "target")
_LATEST_FIRST: Final = ("test", "validation", "target")


def at_random(
    rows: Array, keys: Array | None, sizes: Sizes, generator: np.random.Generator
) -> dict[str, Array]:
    """Every row is as likely in each split; sizes are met to the nearest whole number."""
    return _consecutive(generator.permutation(rows), sizes)


def by_time(rows: Array, keys: Array, sizes: Sizes, generator: np.random.Generator) -> dict[str, Array]:
    """The latest rows are test, those before validation, those before target; nothing is drawn.

    Rows of the same time follow their ids.
    """
    latest_first = rows[np.argsort(keys, kind="stable")][::-1]
    ordered = {name: sizes[name] for name in _LATEST_FIRST if name in sizes}
    return _consecutive(latest_first, ordered)


def by_class(rows: Array, keys: Array, sizes: Sizes, generator: np.random.Generator) -> dict[str, Array]:
    """Each class gives its share to each split, at least one sample if it has enough, within one of exact."""
    classes, codes, counts = np.unique(keys, return_inverse=True, return_counts=True)
    order = generator.permutation(len(rows))
    by_code = order[np.argsort(codes[order], kind="stable")]  # classes one after the other, shuffled within
    starts = np.cumsum(counts) - counts
    left = counts - 1  # training keeps one of each class
    used = np.zeros(len(classes), np.int64)
    drawn: dict[str, Array] = {}
    for name in sorted(sizes, key=_PRECEDENCE.index):
        quota = np.minimum(_quota(counts * (sizes[name] / len(rows)), round(sizes[name])), left)
        picks = [by_code[s + u : s + u + q] for s, u, q in zip(starts, used, quota, strict=True)]
        drawn[name] = np.sort(rows[np.concatenate(picks)])
        used += quota
        left -= quota
    return drawn


def by_group(rows: Array, keys: Array, sizes: Sizes, generator: np.random.Generator) -> dict[str, Array]:
    """Whole groups in random order, each taken while it brings the split closer to its size.

    Raises:
        DataError: When there are fewer groups than splits.
    """
    groups, codes, counts = np.unique(keys, return_inverse=True, return_counts=True)
    if len(groups) < len(sizes) + 1:
        raise DataError(
            f"by='group' needs at least {len(sizes) + 1} groups, one per split, got {len(groups)}; use "
            "another column"
        )
    waiting: list[int] = generator.permutation(len(groups)).tolist()
    drawn: dict[str, Array] = {}
    for later, (name, size) in enumerate(sorted(sizes.items(), key=lambda item: -item[1]), start=1):
        spare = len(waiting) - (len(sizes) - later) - 1  # later splits and training need one group each
        chosen: list[int] = []
        have = 0
        for group in waiting:
            if len(chosen) < spare and abs(have + counts[group] - size) < abs(have - size):
                chosen.append(group)
                have += int(counts[group])
        if not chosen:
            chosen = [min(waiting, key=lambda group: int(counts[group]))]
        taken = set(chosen)
        waiting = [group for group in waiting if group not in taken]
        drawn[name] = np.sort(rows[np.isin(codes, chosen)])
    return drawn


def _consecutive(ordered: Array, sizes: Sizes) -> dict[str, Array]:
    drawn: dict[str, Any] = {}
    start = 0
    for name, size in sizes.items():
        end = start + round(size)
        drawn[name] = np.sort(ordered[start:end])
        start = end
    return drawn


def _quota(exact: Array, total: int) -> Array:
    """Whole numbers that add up to `total` where possible, each within one of `exact` and at least 1."""
    quota = np.floor(exact).astype(np.int64)
    largest_rest = np.argsort(quota - exact, kind="stable")
    quota[largest_rest[: max(0, total - int(quota.sum()))]] += 1
    return np.maximum(quota, 1)
