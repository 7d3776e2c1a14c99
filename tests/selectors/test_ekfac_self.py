import pytest
import torch

from autotune.errors import SelectorError
from autotune.numerics.curvature import last_layer_curvature
from autotune.selectors.influence.ekfac_self import EKFACSelf
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestEKFACSelf(SelectorContract):
    @pytest.fixture
    def selector(self) -> EKFACSelf:
        return EKFACSelf(skip=0.1)


def test_an_unlikely_label_far_out_has_the_most():
    readings = random_readings(EKFACSelf.needs, 50)
    readings[Signal.EMBEDDINGS].values[7] *= 10
    readings[Signal.ERRORS].values[7] = torch.tensor([-1.0, 1.0, 0.0, 0.0])
    readings[Signal.ERRORS].values[9] = 0
    signals = Signals(torch.arange(50), readings)
    kept = draw(EKFACSelf(sampler="top"), signals, 49).ids.tolist()
    assert kept[0] == 7
    assert 9 not in kept


def test_scores_are_self_influences():
    readings = random_readings(EKFACSelf.needs, 20)
    h, p, e = (readings[s].values for s in (Signal.EMBEDDINGS, Signal.PROBABILITIES, Signal.ERRORS))
    expected = last_layer_curvature(h, p, 0.5).self_influence(h, e)
    scores = EKFACSelf(damping=0.5).scores(Signals(torch.arange(20), readings), torch.Generator())
    assert torch.equal(scores, expected)


def test_regression_targets_are_refused():
    readings = random_readings(EKFACSelf.needs, 3) | {Signal.TARGETS: torch.rand(3)}
    with pytest.raises(SelectorError, match="class ids"):
        EKFACSelf().scores(Signals(torch.arange(3), readings), torch.Generator())


@pytest.mark.parametrize("damping", [0.0, -1.0])
def test_a_damping_out_of_range_is_refused(damping):
    with pytest.raises(SelectorError, match="damping must be finite and above 0, got"):
        EKFACSelf(damping=damping)
