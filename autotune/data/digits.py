"""A small real data set that needs no download."""

from __future__ import annotations

import numpy as np

from autotune.data.dataset import Dataset


def digits() -> Dataset:
    """The 1,797 handwritten digits embedded in scikit-learn: (n, 1, 8, 8), float32 in [0, 1], 10 classes."""
    from sklearn.datasets import load_digits  # slow to import, and no worker needs it

    found = load_digits()
    images = (found.images / 16.0).astype(np.float32)
    return Dataset.from_arrays(images[:, None], found.target)
