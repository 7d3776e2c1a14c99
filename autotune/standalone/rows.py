"""Which rows of a data set may be chosen, which guide the choice, and arrays beside them."""

from __future__ import annotations

import numpy as np

from autotune.data import Dataset, partition
from autotune.data.columns import Array
from autotune.errors import SelectorError
from autotune.seeds import derive


def candidates(data: Dataset) -> Array:
    """Ids of the rows that the source does not set aside for testing, sorted."""
    test = data.official_test
    everything = np.arange(data.n)
    return everything if test is None else np.setdiff1d(everything, test)


def target_split(data: Dataset, wish: float | Array, seed: int) -> tuple[Array, str]:
    """The target split, and in words where it came from.

    Args:
        data: What it is taken from.
        wish: A share of the candidates, in (0, 1), every class alike; or ids.
        seed: Decides which.

    Raises:
        SelectorError: When the share or the ids cannot be.
    """
    rows = candidates(data)
    if not isinstance(wish, int | float):
        ids = np.unique(wish)
        if not len(ids) or ids.dtype.kind not in "ui" or ids[0] < 0 or ids[-1] >= data.n:
            raise SelectorError(f"ids of the target split must be row numbers in [0, {data.n}), at least one")
        return ids.astype(np.int64), f"the target split: the {len(ids)} samples that were given"
    if not 0.0 < wish < 1.0:
        raise SelectorError(f"the share of the target split must be in (0, 1), got {wish}")
    size = {"target": max(1.0, wish * len(rows))}
    generator = np.random.default_rng(derive(seed, "target split"))
    if data.kind == "classification":
        ids = partition.by_class(rows, data.targets[rows], size, generator)["target"]
    else:
        ids = partition.at_random(rows, None, size, generator)["target"]
    return ids, f"the target split: {len(ids)} samples drawn at random, which are not candidates"


def beside(data: Dataset, values: Array, rows: Array, name: str) -> Array:
    """Those rows of an array that was given for the whole data, or for all but its official test part.

    Args:
        data: What the array belongs to.
        values: Shape (n, ...).
        rows: Ids.
        name: Of the array, for errors.

    Raises:
        SelectorError: When it has another number of rows.
    """
    if len(values) == data.n:
        return values[rows]
    known = candidates(data)
    if len(values) == len(known):
        return values[np.searchsorted(known, rows)]
    without = "" if len(known) == data.n else f" or {len(known)} (without the official test part)"
    raise SelectorError(f"{name} must have one row per sample, {data.n}{without}, got {len(values)}")
