import pytest
import torch

from autotune.errors import SelectorError
from autotune.numerics.neighbours import Neighbours
from autotune.selection import make_selector
from autotune.selectors.coreset.d2 import D2, gathered, passed_back
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestD2(SelectorContract):
    @pytest.fixture
    def selector(self) -> D2:
        return D2(neighbours=4)


def graph(n=30, count=4):
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    squared = torch.cdist(points, points).square().fill_diagonal_(torch.inf)
    found = squared.topk(count, largest=False)
    return Neighbours(found.indices, found.values), torch.rand(n, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("decay", [0.0, 1.0, 3.0])
def test_messages_are_those_of_the_definition_in_float64(decay):
    near, hard = graph()
    mean = near.squared.mean()
    weights = (-decay * near.squared / mean).exp()
    scores = gathered(near, hard, decay)
    expected = [
        float(hard[i] + sum(weights[i, e] * hard[j] for e, j in enumerate(near.ids[i]))) for i in range(30)
    ]
    assert torch.allclose(scores, torch.tensor(expected, dtype=torch.float64))
    values = scores.clone()
    for pick in passed_back(near, scores, 30, decay).tolist():
        assert values[pick] >= values[values.isfinite()].max() - 1e-12
        values[near.ids[pick]] -= weights[pick] * values[pick].clamp_min(0.0)
        values[pick] = -torch.inf


def test_of_two_equal_hard_samples_one_is_taken_first():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 3, generator=generator)
    loss = torch.rand(30, generator=generator) + 1
    twice = Signals(
        torch.arange(60), {Signal.FEATURES: torch.cat([features] * 2), Signal.LOSS: torch.cat([loss] * 2)}
    )
    picks = draw(D2(neighbours=5), twice, 10).ids % 30
    assert len(set(picks.tolist())) == 10


def test_without_losses_it_covers_and_a_sample_without_one_comes_last():
    features = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    loss = torch.ones(20)
    loss[3] = torch.nan
    ids = draw(
        D2(neighbours=3), Signals(torch.arange(20), {Signal.FEATURES: features, Signal.LOSS: loss}), 19
    ).ids
    assert 3 not in ids.tolist()


@pytest.mark.parametrize(("name", "value"), [("neighbours", 0), ("gather", -1.0), ("spread", -1.0)])
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(SelectorError, match=f"{name} must be"):
        make_selector("d2", **{name: value})
