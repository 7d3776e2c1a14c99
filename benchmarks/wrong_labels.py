"""Labels made wrong on purpose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import autotune as at

Rows = npt.NDArray[np.int64]


def mislabelled(
    data: at.Dataset, rows: Rows, share: float, seed: int, pairs: bool = False
) -> tuple[at.Dataset, npt.NDArray[np.bool_]]:
    """The data with a share of the labels of some rows replaced by another class; and which, shape (n,).

    Args:
        data: With classes as targets.
        rows: Whose labels may change; the others keep theirs.
        share: In [0, 1], exact up to one row.
        seed: Of the draws.
        pairs: Each class is taken for the next one; otherwise for any other, at random.
    """
    drawing = np.random.default_rng(seed)
    wrong = np.zeros(data.n, bool)
    wrong[drawing.permutation(rows)[: round(share * len(rows))]] = True
    targets = np.array(data.targets)
    step = 1 if pairs else drawing.integers(1, data.classes, wrong.sum())
    targets[wrong] = (targets[wrong] + step) % data.classes
    return data.with_columns(targets=targets), wrong
