import numpy as np
import pytest
import torch
from torch import nn

from autotune.data import Splits, digits
from autotune.errors import DataError
from autotune.standalone.encode import encode
from autotune.task import prepare_inputs


class Widens(nn.Module):
    """Draws in training; gives a map per sample."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.9))

    def forward(self, inputs):
        assert not self.training
        return self.body(inputs.reshape(-1, 1, 8, 8))


class Gives(nn.Module):
    def __init__(self, found):
        super().__init__()
        self.found = found

    def forward(self, inputs):
        return self.found(inputs)


def test_every_sample_is_what_the_module_makes_of_it():
    data, module = digits(), Widens()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = encode(data, module, "cpu")
    assert found.inputs.shape == (data.n, 3, 6, 6)
    assert found.inputs.dtype == np.float32
    module.eval()
    rows = [3, 700, data.n - 1]
    one = module(prepare_inputs(torch.from_numpy(data.inputs[rows])))
    np.testing.assert_allclose(found.inputs[rows], one.detach().numpy(), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert found.fingerprint != data.fingerprint


def test_splits_and_names_stay_valid():
    data = digits()
    found = encode(data, nn.Flatten(), "cpu")
    assert found.names == data.names
    assert np.array_equal(found.targets, data.targets)
    Splits.make(data, seed=3).check(found)


def test_the_training_mode_of_the_given_module_is_left_alone():
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5)).train()
    encode(digits(), module, "cpu")
    assert module.training


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Gives(lambda inputs: (inputs, inputs)), "got tuple"),
        (Gives(lambda inputs: inputs.mean()), r"got \(\)"),
        (Gives(lambda inputs: inputs[:1]), r"a row for each of 256 samples"),
        (Gives(lambda inputs: inputs.flatten(1) * float("nan")), "finite"),
        (
            Gives(lambda inputs: inputs.flatten(1)[:, 0] if len(inputs) == 256 else inputs.flatten(1)),
            r"rows of one shape, got \(\) and then \(64,\)",
        ),
        (
            Gives(lambda inputs: inputs.flatten(1)[:, : len(inputs)]),
            r"rows of one shape, got \(64,\) and then",
        ),
    ],
)
def test_what_is_no_row_per_sample_is_refused(module, text):
    with pytest.raises(DataError, match=text):
        encode(digits(), module, "cpu")
