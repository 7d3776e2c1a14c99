import pytest
import torch

from autotune.selectors.influence.gradient_norm import GradientNorm, gradient_norms
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestGradientNorm(SelectorContract):
    @pytest.fixture
    def selector(self) -> GradientNorm:
        return GradientNorm(skip=0.1)


def test_scores_are_lengths():
    gradients = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, torch.nan]])
    scores = gradient_norms(gradients)
    assert scores[:2].tolist() == [5.0, 0.0]
    assert bool(scores[2].isnan())


def test_the_longest_are_taken_from_the_top_and_all_lengths_covered_by_default():
    readings = random_readings(GradientNorm.needs, 400)
    signals = Signals(torch.arange(400), readings)
    lengths = readings[Signal.GRADIENTS].values.double().norm(dim=1)
    assert draw(GradientNorm(sampler="top"), signals, 40).ids.tolist() == lengths.topk(40).indices.tolist()
    covered = lengths[draw(GradientNorm(), signals, 40).ids]
    assert float(covered.min()) < float(lengths.quantile(0.1))
    assert float(covered.max()) > float(lengths.quantile(0.9))
