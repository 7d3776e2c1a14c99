import numpy as np
import pytest
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, TensorDataset

from autotune.data import Dataset
from autotune.errors import DataError


class Pairs(TorchDataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return self.samples[i]


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


def test_tensors_are_shared():
    inputs = torch.arange(12.0).reshape(6, 2)
    data = Dataset.from_torch(TensorDataset(inputs, torch.arange(6) % 2))
    assert data.inputs.ctypes.data == inputs.data_ptr()
    assert data.kind == "classification"


def test_samples_are_read_in_order():
    samples = [(torch.full((2, 3), float(i)), i % 3) for i in range(9)]
    data = Dataset.from_torch(Pairs(samples))
    assert data.inputs.shape == (9, 2, 3)
    assert data.inputs[:, 0, 0].tolist() == list(range(9))
    assert data.targets.tolist() == [i % 3 for i in range(9)]


def test_arrays_and_numbers_are_fine_too():
    data = Dataset.from_torch(Pairs([(np.ones(2), 0.5), (np.zeros(2), 1.5)]))
    assert data.kind == "regression"
    assert data.inputs.dtype == np.float32


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        (Stream(), "Stream has no fixed rows; give a map-style"),
        (Pairs([]), "Pairs is empty"),
        (Pairs([torch.ones(2)]), r"sample 0 must be an \(input, target\) pair, got Tensor"),
        (Pairs([(torch.ones(2), 0), (torch.ones(3), 1)]), r"sample 1: input must be float32 of shape \(2,\)"),
        (Pairs([(torch.ones(2), 0), (torch.ones(2), 0.5)]), "sample 1: target must be int64"),
        (Pairs([("text", 0)]), "sample 0 must hold tensors, arrays or numbers, got str"),
        (TensorDataset(torch.ones(2), torch.ones(2), torch.ones(2)), "got 3 tensors"),
    ],
)
def test_unusable_torch_data(dataset, text):
    with pytest.raises(DataError, match=text):
        Dataset.from_torch(dataset)
