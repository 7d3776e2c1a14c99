import pytest
import torch

from autotune.errors import SelectorError
from autotune.numerics.similarity import Kernel, matrix, similarities
from autotune.selectors.coreset.graph_cut import GraphCutSelector
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestGraphCut(SelectorContract):
    @pytest.fixture(params=["cosine", "rbf"])
    def selector(self, request) -> GraphCutSelector:
        return GraphCutSelector(kernel=request.param)


def signals(features):
    return Signals(torch.arange(len(features)), {Signal.FEATURES: features})


@pytest.mark.parametrize("kernel", list(Kernel))
@pytest.mark.parametrize("redundancy", [0.0, 0.5, 8.0])
def test_the_picks_are_greedy_in_float64(kernel, redundancy):
    features = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    picks = draw(GraphCutSelector(redundancy, kernel), signals(features), 20).ids.tolist()
    alike = matrix(similarities(features.double(), kernel))
    for place, pick in enumerate(picks):
        before = picks[:place]
        gains = alike.sum(1) - 2 * redundancy * alike[:, before].sum(1)
        gains[before] = -torch.inf
        assert gains[pick] >= gains.max() - 1e-3


def test_a_price_on_likeness_keeps_a_copy_out():
    features = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    picks = draw(GraphCutSelector(20.0, "rbf"), signals(torch.cat([features, features])), 6).ids % 40
    assert len(set(picks.tolist())) == 6


def test_a_negative_price_is_refused():
    with pytest.raises(SelectorError, match="redundancy must be finite and at least 0"):
        GraphCutSelector(-0.1)
