"""Laws of every objective: values by definition, gains that never grow, lazy = naive, guarantees."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.numerics.similarity import matrix, similarities
from autotune.numerics.submodular import FacilityLocation, GraphCut, LogDet, lazy, naive, stochastic

RIDGE = 0.1


def build(name, given):
    return {
        "facility_location": lambda: FacilityLocation(given),
        "recomputed": lambda: FacilityLocation(given, memory_gib=1e-9),
        "graph_cut": lambda: GraphCut(given, 0.5),
        "log_det": lambda: LogDet(given, given.shape[0], RIDGE, 1.0),
    }[name]()


def value(name, alike, chosen):
    """The objective by its definition."""
    chosen = list(chosen)
    if name in ("facility_location", "recomputed"):
        return float(alike[chosen].amax(0).sum()) if chosen else 0.0
    inner = alike[chosen][:, chosen]
    if name == "graph_cut":
        return float(alike[chosen].sum() - 0.5 * (inner.sum() - inner.diagonal().sum()))
    return float(torch.logdet(torch.eye(len(chosen), dtype=alike.dtype) + inner / RIDGE)) if chosen else 0.0


OBJECTIVES = ["facility_location", "recomputed", "graph_cut", "log_det"]
made_up = st.tuples(st.integers(1, 25), st.integers(0, 99), st.sampled_from(["cosine", "rbf"]))


def similar(n, seed, kernel, d=4):
    return similarities(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double(), kernel)


@pytest.mark.parametrize("name", OBJECTIVES)
@settings(max_examples=25)
@given(made_up=made_up, data=st.data())
def test_gains_are_differences_of_values_never_negative_and_never_grow(name, made_up, data):
    given = similar(*made_up)
    n, alike = given.shape[0], matrix(given)
    order = data.draw(st.permutations(range(n)))
    objective, before = build(name, given), torch.full((n,), math.inf, dtype=torch.float64)
    for place, candidate in enumerate(order):
        gains = objective.gains(torch.arange(n))
        left = torch.tensor(order[place:])
        assert bool((gains[left] >= -1e-9).all())
        assert bool((gains[left] <= before[left] + 1e-9).all())
        wanted = value(name, alike, order[: place + 1]) - value(name, alike, order[:place])
        assert math.isclose(float(gains[candidate]), wanted, abs_tol=1e-6)
        objective.add(candidate)
        before = gains


@pytest.mark.parametrize("name", OBJECTIVES)
@settings(max_examples=25)
@given(made_up=made_up, batch=st.integers(1, 9), front=st.integers(1, 9))
def test_lazy_picks_what_naive_picks(name, made_up, batch, front):
    given = similar(*made_up)
    n = given.shape[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autotune.numerics.submodular.greedy.FRONT", front)
        slow, quick = naive(build(name, given), n), lazy(build(name, given), n, batch)
    assert sorted(quick.picks.tolist()) == list(range(n))
    differ = (slow.picks != quick.picks).nonzero().squeeze(1).tolist()
    upto = differ[0] + 1 if differ else n  # where they part, the gains must be equal but for rounding
    assert torch.allclose(slow.gains[:upto], quick.gains[:upto], atol=1e-9)


@pytest.mark.parametrize("name", ["facility_location", "graph_cut", "log_det"])
def test_greedy_and_random_samples_reach_what_they_promise(name):
    given, budget, epsilon = similar(9, 3, "rbf"), 3, 0.2
    best = max(value(name, matrix(given), chosen) for chosen in itertools.combinations(range(9), budget))
    assert float(naive(build(name, given), budget).gains.sum()) >= (1 - 1 / math.e) * best
    drawn = [
        stochastic(build(name, given), budget, epsilon, torch.Generator().manual_seed(seed))
        for seed in range(40)
    ]
    assert all(len(set(order.picks.tolist())) == budget for order in drawn)
    mean = sum(float(order.gains.sum()) for order in drawn) / 40
    assert mean >= (1 - 1 / math.e - epsilon) * best


def test_of_copies_one_is_worth_nothing_once_the_other_is_there():
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).double()
    given = similarities(torch.cat([features, features]), "rbf")
    order = lazy(FacilityLocation(given), 40)
    assert sorted((order.picks[:20] % 20).tolist()) == list(range(20))
    assert float(order.gains[20:].max()) < 1e-6
