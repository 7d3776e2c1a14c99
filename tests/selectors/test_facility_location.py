import math

import pytest
import torch

from autotune.errors import SelectorError
from autotune.numerics.similarity import Kernel, matrix, similarities
from autotune.numerics.submodular import celled_facility_location
from autotune.selection import make_selector
from autotune.selectors.coreset import facility_location
from autotune.selectors.coreset.facility_location import FacilityLocationSelector
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestFacilityLocation(SelectorContract):
    @pytest.fixture(
        params=[(0, "cosine", 2.0), (0, "euclidean", 1e-9), (5, "rbf", 2.0)],
        ids=["all pairs", "recomputed", "graph"],
    )
    def selector(self, request) -> FacilityLocationSelector:
        return FacilityLocationSelector(*request.param)


def signals(features):
    return Signals(torch.arange(len(features)), {Signal.FEATURES: features})


def points(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kernel", list(Kernel))
def test_the_picks_are_greedy_in_float64(kernel):
    features = points(60, 5)
    picks = draw(FacilityLocationSelector(0, kernel), signals(features), 20).ids.tolist()
    alike, best = matrix(similarities(features.double(), kernel)), torch.zeros(60, dtype=torch.float64)
    for pick in picks:
        gains = (alike - best).clamp_min(0).sum(1)
        assert gains[pick] >= gains.max() - 1e-4
        best = torch.maximum(best, alike[pick])


@pytest.mark.parametrize("neighbours", [0, 8])
def test_of_two_equal_samples_one_is_taken(neighbours):
    features = points(60, 5)
    twice = torch.cat([features, features])
    picks = draw(FacilityLocationSelector(neighbours), signals(twice), 30).ids % 60
    assert len(set(picks.tolist())) == 30


def test_every_far_group_has_a_pick():
    centers = 50.0 * points(12, 3)
    features = (centers[:, None] + points(120, 3).view(12, 10, 3)).flatten(0, 1)
    for neighbours in (0, 9):
        picks = draw(FacilityLocationSelector(neighbours, "euclidean"), signals(features), 12).ids
        assert sorted((picks // 10).tolist()) == list(range(12))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("neighbours", -1, "at least 0"),
        ("memory_gib", 0.0, "finite and above 0"),
        ("kernel", "cosin", "did you mean 'cosine'"),
    ],
)
def test_values_out_of_range_are_refused(name, value, text):
    with pytest.raises(SelectorError, match=text):
        make_selector("facility_location", **{name: value})


def test_a_graph_costs_less_than_all_pairs_where_there_are_many():
    exact, graph = FacilityLocationSelector(0), FacilityLocationSelector(32)
    assert graph.cost(1_000_000, 10_000, 64) < exact.cost(1_000_000, 10_000, 64) / 50
    assert math.isclose(exact.cost(2000, 100, 64), 4 * exact.cost(1000, 100, 64))


def test_many_candidates_are_covered_cell_by_cell(monkeypatch):
    monkeypatch.setattr(facility_location, "GRAPH", 50)
    features = torch.randn(80, 5, generator=torch.Generator().manual_seed(0))
    signals = Signals(torch.arange(80), {Signal.FEATURES: features})
    chosen = FacilityLocationSelector().select(signals, 10, torch.Generator().manual_seed(1))
    cells = celled_facility_location(similarities(features), 10, torch.Generator().manual_seed(1))
    assert torch.equal(chosen.ids, cells.picks)
    few = FacilityLocationSelector().cost(50, 10, 5)
    assert FacilityLocationSelector().cost(51, 10, 5) != few
