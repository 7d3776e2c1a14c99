import pytest
import torch
import torch.nn.functional as F

from autotune.errors import SelectorError
from autotune.numerics.pursuit import LastLayer, matching_pursuit
from autotune.selection import Subset
from autotune.selectors.influence.gradmatch import GradMatch, batch_gradients, match_batches
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings

ALL_ONE_BY_ONE = 10**6


class TestGradMatch(SelectorContract):
    @pytest.fixture
    def selector(self) -> GradMatch:
        return GradMatch(rounds=5)


class TestGradMatchByBatch(SelectorContract):
    @pytest.fixture
    def selector(self) -> GradMatch:
        return GradMatch(batch=4)


def gradients(signals):
    h, e = signals[Signal.EMBEDDINGS].double(), signals[Signal.ERRORS].double()
    return torch.einsum("no,nd->nod", e, F.pad(h, (0, 1), value=1.0)).flatten(1)


def distance(signals, subset):
    """How far the weighted sum is from the sum of all, relative to it, at the best scale."""
    whole = gradients(signals)
    mine, total = subset.weights.double() @ whole[subset.ids], whole.sum(0)
    return float((total - mine * (mine @ total) / mine.square().sum()).norm() / total.norm())


def test_each_class_is_matched_by_itself_with_its_share():
    signals = Signals(torch.arange(80), random_readings(GradMatch.needs, 80))
    classes = signals[Signal.TARGETS]
    subset = draw(GradMatch(rounds=ALL_ONE_BY_ONE), signals, 20)
    sizes, shares = classes.bincount(), classes[subset.ids].bincount(minlength=4)
    assert bool(((shares - sizes / 4).abs() < 1).all())
    expected_ids, expected_weights = [], []
    for each in range(4):
        rows = (classes == each).nonzero().squeeze(1)
        atoms = LastLayer(signals[Signal.EMBEDDINGS][rows], signals[Signal.ERRORS][rows])
        picks, weights = matching_pursuit(atoms, int(shares[each]), 0.1, ALL_ONE_BY_ONE)
        expected_ids.append(rows[picks])
        expected_weights.append(weights)
    assert torch.equal(subset.ids, torch.cat(expected_ids))
    weights = torch.cat(expected_weights)
    torch.testing.assert_close(subset.weights, (weights / weights.mean()).float())


@pytest.mark.parametrize("selector", [GradMatch(), GradMatch(rounds=3), GradMatch(batch=5)])
def test_the_whole_gradient_is_matched_far_better_than_by_chance(selector):
    signals = Signals(torch.arange(600), random_readings(GradMatch.needs, 600))
    shuffle = torch.randperm(600, generator=torch.Generator().manual_seed(0))
    chance = distance(signals, Subset.uniform(shuffle[:60]))
    assert distance(signals, draw(selector, signals, 60)) < 0.6 * chance


def test_samples_of_a_batch_share_its_weight():
    signals = Signals(torch.arange(40), random_readings(GradMatch.needs, 40))
    subset = draw(GradMatch(batch=8), signals, 20)
    assert len(subset) == 20
    assert [len(set(part.tolist())) for part in subset.weights.split(8)] == [1, 1, 1]


def test_batches_are_sums_of_consecutive_samples():
    generator = torch.Generator().manual_seed(0)
    h, e = (torch.randn(7, k, generator=generator, dtype=torch.double) for k in (3, 2))
    whole = torch.einsum("no,nd->nod", e, F.pad(h, (0, 1), value=1.0)).flatten(1)
    expected = torch.stack([whole[:3].sum(0), whole[3:6].sum(0), whole[6:].sum(0)])
    torch.testing.assert_close(batch_gradients(h, e, 3), expected)


@pytest.mark.parametrize(("budget", "taken"), [(1, 1), (3, 3), (5, 5), (6, 6), (7, 7)])
def test_a_short_batch_is_used_only_where_all_are_needed(budget, taken):
    generator = torch.Generator().manual_seed(0)
    h, e = (torch.rand(7, k, generator=generator) for k in (3, 2))
    picks, weights = match_batches(h, e, budget, 3, 0.1, 100)
    assert len(set(picks.tolist())) == len(picks) == len(weights) == taken
    assert budget == 7 or 6 not in picks.tolist()


def test_a_class_without_gradients_counts_alike():
    readings = random_readings(GradMatch.needs, 40)
    classes = readings[Signal.TARGETS].values
    readings[Signal.ERRORS].values[classes == 2] = 0
    signals = Signals(torch.arange(40), readings)
    subset = draw(GradMatch(), signals, 12)
    of_class = subset.weights[classes[subset.ids] == 2]
    assert len(of_class) > 0
    assert float(of_class.min()) == float(of_class.max()) > 0


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("regularisation", 0.0, "regularisation must be finite and above 0, got 0.0"),
        ("rounds", 0, "rounds must be at least 1, got 0"),
        ("batch", 0, "batch must be at least 1, got 0"),
    ],
)
def test_values_out_of_range_are_refused(field, value, text):
    with pytest.raises(SelectorError, match=text):
        GradMatch(**{field: value})
