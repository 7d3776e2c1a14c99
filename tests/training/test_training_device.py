"""Data is on the device where it fits, and in main memory where it does not: the batches are the same."""

import numpy as np
import pytest
import torch

import autotune.training.device
import autotune.training.samples
from autotune.data import Dataset
from autotune.errors import ConfigurationError
from autotune.training.device import find_device, fits
from autotune.training.rows import Held
from autotune.training.samples import Samples

DATA = Dataset.from_arrays(np.arange(600.0, dtype=np.float32).reshape(100, 6), np.arange(100) % 3)
META = torch.device("meta")  # stands for a device with a memory of its own


@pytest.mark.parametrize(("free", "expected"), [(3000, True), (2999, False)])
def test_a_third_of_the_free_memory_may_hold_data(monkeypatch, free, expected):
    monkeypatch.setattr(autotune.training.device, "free_bytes", lambda device: free)
    assert fits(1000, torch.device("cuda")) is expected
    assert fits(10**15, torch.device("cpu"))


@pytest.mark.parametrize("kept", [True, False])
def test_batches_are_on_the_device_wherever_the_data_is(monkeypatch, kept):
    monkeypatch.setattr(autotune.training.samples, "fits", lambda size, device: kept and size == 2400)
    samples = Samples(DATA, META, lambda inputs: inputs)
    assert samples._rows._inputs.device.type == ("meta" if kept else "cpu")
    if kept:  # nothing can be read from a device that holds nothing
        batch = samples.batch(torch.arange(5, device=META))
        assert (batch.inputs.device, batch.inputs.shape) == (META, (5, 6))


def test_rows_in_main_memory_are_copied_in_the_order_that_is_asked_for():
    ids = torch.tensor([7, 3, 3, 99])
    rows = Held(torch.from_numpy(DATA.inputs.copy()), META)
    assert rows.take(ids).device == META
    near = Held(torch.from_numpy(DATA.inputs.copy()), torch.device("cpu"))
    assert torch.equal(near.take(ids), torch.from_numpy(DATA.inputs[ids.numpy()]))


def test_a_device_that_is_not_there_is_said():
    assert find_device("auto").type in ("cpu", "cuda")
    with pytest.raises(ConfigurationError, match="cannot be used here"):
        find_device("cuda:99")
    with pytest.raises(ConfigurationError, match=r"cannot be used here|not supported"):
        find_device("mps")
