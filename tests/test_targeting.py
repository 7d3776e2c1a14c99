from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from autotune.errors import SelectorError
from autotune.signals import Signal, Signals
from autotune.targeting import AIM, TargetedSelector, curvature
from autotune.testing.signals import random_readings

N = 15


@dataclass(frozen=True)
class Turned(TargetedSelector):
    def direction(self, signals, gradient):
        return -2 * gradient

    def cost(self, n, budget, width):
        return 0.0


def test_scores_are_inner_products_of_whole_gradients_with_the_direction():
    signals = Signals(torch.arange(N), random_readings(AIM, N))

    def gradients(embeddings, errors):
        return torch.einsum("no,nd->nod", signals[errors], F.pad(signals[embeddings], (0, 1), value=1.0))

    own = gradients(Signal.EMBEDDINGS, Signal.ERRORS)
    wanted = gradients(Signal.TARGET_SPLIT_EMBEDDINGS, Signal.TARGET_SPLIT_ERRORS).mean(0)
    scores = Turned().scores(signals, torch.Generator())
    torch.testing.assert_close(scores, -2 * (own * wanted).sum((1, 2)))


def test_classes_are_balanced_unless_told_otherwise():
    assert Turned().class_balanced and not Turned(class_balanced=False).class_balanced


def test_the_curvature_is_that_of_a_classifier():
    readings = random_readings(AIM | {Signal.PROBABILITIES}, N)
    factors = curvature(Signals(torch.arange(N), readings), "mine", 0.5)
    assert factors.values.shape == (len(factors.outputs), len(factors.inputs)) and bool(
        (factors.values > 0).all()
    )
    real = Signals(torch.arange(N), readings | {Signal.TARGETS: torch.rand(N)})
    with pytest.raises(SelectorError, match="'mine' needs class ids"):
        curvature(real, "mine", 0.5)
