import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.selectors.coreset.leverage import Leverage, leverages, one_per_stratum
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestLeverage(SelectorContract):
    @pytest.fixture
    def selector(self) -> Leverage:
        return Leverage()


def test_scores_are_the_diagonal_of_the_hat_matrix():
    features = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1, 2, 3, 4, 5.0]
    )
    centred = features.double() - features.double().mean(0)
    moments = centred.T @ centred
    penalty = 0.1 * moments.diagonal().mean() * torch.eye(5, dtype=torch.float64)
    hat = centred @ torch.linalg.inv(moments + penalty) @ centred.T
    assert torch.allclose(leverages(features, 0.1), hat.diagonal() + 1 / 40, atol=1e-5)


def test_without_ridge_they_sum_to_the_rank_and_one_for_the_intercept():
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert float(leverages(features, 1e-9).sum()) == pytest.approx(5.0, abs=1e-4)


chances_of = st.lists(st.floats(0.01, 50), min_size=1, max_size=40)


@given(chances=chances_of, data=st.data())
def test_each_stratum_gives_one_and_the_strata_part_all(chances, data):
    budget = data.draw(st.integers(1, len(chances)))
    picks, sizes = one_per_stratum(torch.tensor(chances), budget, torch.Generator().manual_seed(0))
    assert len(set(picks.tolist())) == budget
    assert int(sizes.min()) >= 1
    assert int(sizes.sum()) == len(chances)


def test_chances_follow_the_leverage_and_no_weight_is_large():
    features = torch.randn(400, 8, generator=torch.Generator().manual_seed(0)).pow(3)
    signals = Signals(torch.arange(400), {Signal.FEATURES: features})
    scores, counts = leverages(features, 0.001), torch.zeros(400)
    for seed in range(300):
        subset = draw(Leverage(floor=0.5), signals, 40, seed)
        counts[subset.ids] += 1
        assert float(subset.weights.max()) <= 2 * 1.2
    top, bottom = scores.topk(40).indices, (-scores).topk(40).indices
    assert counts[top].mean() > 2 * counts[bottom].mean()


@pytest.mark.parametrize(("floor", "ridge"), [(1.1, 0.1), (-0.1, 0.1), (0.5, 0.0)])
def test_values_out_of_range_are_refused(floor, ridge):
    with pytest.raises(SelectorError, match="must be"):
        Leverage(floor, ridge)
