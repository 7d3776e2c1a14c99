import numpy as np
import pytest

from autotune.data import Dataset, Splits


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread):
    """In all tests of training."""


@pytest.fixture(scope="session")
def blobs():
    """Three classes in eight dimensions: 300 samples, easy."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 8)).astype(np.float32)
    return Dataset.from_arrays(inputs, (inputs @ rng.normal(size=(8, 3))).argmax(1))


@pytest.fixture(scope="session")
def splits(blobs):
    return Splits.make(blobs, target=0.1, validation=0.2, test=0.2, seed=0)
