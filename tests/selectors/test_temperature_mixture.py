import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.selectors.mixture.temperature_mixture import TemperatureMixture, temperature_shares
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestTemperatureMixture(SelectorContract):
    @pytest.fixture
    def selector(self) -> TemperatureMixture:
        return TemperatureMixture()


def signals_of(groups):
    return Signals(torch.arange(len(groups)), {Signal.GROUPS: torch.tensor(groups)})


@given(sizes=st.lists(st.integers(1, 10**6), min_size=1, max_size=9), temperature=st.floats(0.2, 50))
def test_shares_are_sizes_to_the_power_of_one_over_the_temperature(sizes, temperature):
    powers = [(size / max(sizes)) ** (1 / temperature) for size in sizes]
    expected = [power / sum(powers) for power in powers]
    assert temperature_shares(torch.tensor(sizes), temperature).tolist() == pytest.approx(expected)


def test_one_is_natural_and_hot_is_even():
    sizes = torch.tensor([90, 10])
    assert temperature_shares(sizes, 1.0).tolist() == pytest.approx([0.9, 0.1])
    assert temperature_shares(sizes, 1e9).tolist() == pytest.approx([0.5, 0.5])


@given(groups=st.lists(st.integers(0, 3), min_size=1, max_size=30), seed=st.integers(0, 9), data=st.data())
def test_each_source_has_its_share_rounded_and_repeats_only_when_exhausted(groups, seed, data):
    budget = data.draw(st.integers(1, len(groups)))
    drawn = draw(TemperatureMixture(), signals_of(groups), budget, seed).ids.tolist()
    present = sorted(set(groups))
    shares = temperature_shares(torch.tensor([groups.count(g) for g in present]), 3.0).tolist()
    for g, share in zip(present, shares, strict=True):
        members = [i for i, other in enumerate(groups) if other == g]
        times = [drawn.count(i) for i in members]
        assert math.floor(budget * share - 1e-9) <= sum(times) <= math.ceil(budget * share + 1e-9)
        assert max(times) - min(times) <= 1


def test_at_temperature_one_there_is_no_bias():
    groups, draws = [0, 0, 0, 1, 1, 2, 2], 3000
    counts, generator = torch.zeros(7, dtype=torch.double), torch.Generator().manual_seed(0)
    for _ in range(draws):
        ids = TemperatureMixture(1.0).select(signals_of(groups), 3, generator).ids
        counts.index_add_(0, ids, torch.ones(3, dtype=torch.double))
    share = 3 / 7
    assert bool(((counts / draws - share).abs() <= 5 * math.sqrt(share * (1 - share) / draws)).all())


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(SelectorError, match="temperature must be finite and above 0, got"):
        TemperatureMixture(temperature)
