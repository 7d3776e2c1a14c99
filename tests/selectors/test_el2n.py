import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.loss.el2n import EL2N, el2n_scores
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestEL2N(SelectorContract):
    @pytest.fixture
    def selector(self) -> EL2N:
        return EL2N(skip=0.1)


def test_scores_are_the_length_of_the_error_vector():
    probabilities = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    scores = el2n_scores(probabilities, torch.tensor([0, 0, 1]))
    assert torch.allclose(scores, torch.tensor([0.0, 2**0.5, 0.5**0.5]))


def test_the_hardest_are_kept_after_a_tail_is_set_aside():
    n, readings = 100, random_readings(EL2N.needs, 100)
    signals = Signals(torch.arange(n), readings)
    scores = el2n_scores(signals[Signal.PROBABILITIES], signals[Signal.TARGETS])
    hardest = scores.argsort(descending=True)
    assert draw(EL2N(), signals, 20).ids.tolist() == hardest[:20].tolist()
    assert draw(EL2N(skip=0.1), signals, 20).ids.tolist() == hardest[10:30].tolist()
    assert draw(EL2N(skip=0.5), signals, 80).ids.tolist() == hardest[20:].tolist()


def test_skipping_never_forces_in_a_sample_without_a_score():
    readings = random_readings(EL2N.needs, 10)
    readings[Signal.PROBABILITIES].values[:3] = torch.nan
    assert min(draw(EL2N(skip=0.9), Signals(torch.arange(10), readings), 7).ids.tolist()) == 3


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(SelectorError, match=r"skip must be in \[0, 1\), got"):
        EL2N(skip=share)


def test_regression_targets_are_refused():
    readings = {Signal.PROBABILITIES: torch.rand(3, 2), Signal.TARGETS: torch.rand(3)}
    with pytest.raises(SelectorError, match="class ids"):
        draw(EL2N(), Signals(torch.arange(3), readings), 1)
