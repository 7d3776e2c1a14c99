import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.numerics.draws import inclusion
from autotune.selectors.loss.selective_backprop import SelectiveBackprop, percentiles
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract


class TestSelectiveBackprop(SelectorContract):
    @pytest.fixture
    def selector(self) -> SelectiveBackprop:
        return SelectiveBackprop()


class TestSelectiveBackpropSharp(SelectorContract):
    @pytest.fixture
    def selector(self) -> SelectiveBackprop:
        return SelectiveBackprop(beta=20.0)


@given(st.lists(st.floats(0, 9, width=32), min_size=1, max_size=30))
def test_percentiles_are_shares_of_losses_as_large_at_most(losses):
    expected = [sum(other <= loss for other in losses) / len(losses) for loss in losses]
    assert percentiles(torch.tensor(losses)).tolist() == pytest.approx(expected)


def test_what_is_not_finite_is_the_least_likely():
    losses = torch.tensor([1.0, float("nan"), 2.0, float("inf")])
    assert percentiles(losses).tolist() == [0.5, 0.25, 1.0, 0.25]
    assert percentiles(losses[[1, 3]]).tolist() == [0.5, 0.5]


def frequencies(selector, losses, budget, draws=4000):
    generator, counts = torch.Generator().manual_seed(0), torch.zeros(len(losses), dtype=torch.double)
    signals = Signals(torch.arange(len(losses)), {Signal.LOSS: torch.tensor(losses)})
    for _ in range(draws):
        counts[selector.select(signals, budget, generator).ids] += 1
    return counts / draws


@pytest.mark.parametrize("budget", [1, 2, 3])
@pytest.mark.parametrize("beta", [0.0, 1.0, 3.0])
def test_chances_are_exact(beta, budget):
    losses = [0.3, 4.0, 1.0, 0.1]
    chances = inclusion(torch.tensor([0.5, 1.0, 0.75, 0.25]).double() ** beta, budget)
    found = frequencies(SelectiveBackprop(beta), losses, budget)
    assert bool(((found - chances).abs() <= 5 * (chances * (1 - chances) / 4000).sqrt() + 1e-9).all())


def test_any_two_may_come_together():
    """A systematic draw in a fixed order would never take some pairs."""
    generator, pairs = torch.Generator().manual_seed(0), set()
    signals = Signals(torch.arange(5), {Signal.LOSS: torch.ones(5)})
    for _ in range(300):
        pairs.add(frozenset(SelectiveBackprop().select(signals, 2, generator).ids.tolist()))
    assert len(pairs) == 10


@pytest.mark.parametrize("beta", [-1.0, 21.0])
def test_a_power_out_of_range_is_refused(beta):
    with pytest.raises(SelectorError, match=r"beta must be in \[0, 20\], got"):
        SelectiveBackprop(beta)
