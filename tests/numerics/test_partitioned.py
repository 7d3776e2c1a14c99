import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.numerics.similarity import FeatureSimilarities, matrix, similarities
from autotune.numerics.submodular import facility_location, parted, two_round_bound, two_rounds


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(n, seed):
    """Similarities, greedy on some candidates by the whole objective, and the objective."""
    given = similarities(torch.randn(n, 3, generator=seeded(seed)).double(), "rbf")

    def choose(candidates, budget):
        only = FeatureSimilarities(given.kernel, given.rows[candidates], given.columns, given.scale)
        return candidates[facility_location(only, budget).picks]

    def value(candidates):
        return float(given.block(candidates, slice(None)).amax(0).sum())

    return given, choose, value


@given(n=st.integers(3, 9), parts=st.integers(1, 4), budget=st.integers(1, 3), seed=st.integers(0, 30))
def test_two_rounds_reach_their_bound_whatever_the_parts(n, parts, budget, seed):
    given, choose, value = problem(n, seed)
    picks = two_rounds(parted(n, parts, seeded(seed)), budget, choose, value)
    assert len(set(picks.tolist())) == budget
    alike = matrix(given)
    best = max(float(alike[list(some)].amax(0).sum()) for some in itertools.combinations(range(n), budget))
    assert value(picks) >= two_round_bound(parts, budget, random=False) * best - 1e-9


def test_one_part_is_plain_greedy_and_many_come_near():
    _, choose, value = problem(400, 0)
    everyone = torch.arange(400)
    greedy = choose(everyone, 20)
    assert torch.equal(two_rounds([everyone], 20, choose, value), greedy)
    assert value(two_rounds(parted(400, 8, seeded()), 20, choose, value)) > 0.98 * value(greedy)


def test_the_first_round_may_be_spread_by_any_map():
    _, choose, value = problem(40, 0)
    seen = []

    def apply(function, parts):
        seen.extend(len(part) for part in parts)
        return [function(part) for part in reversed(parts)][::-1]

    parts = parted(40, 3, seeded())
    assert torch.equal(two_rounds(parts, 5, choose, value, apply), two_rounds(parts, 5, choose, value))
    assert sum(seen) == 40


@given(n=st.integers(1, 60), parts=st.integers(1, 12))
def test_parts_part_everyone(n, parts):
    found = parted(n, parts, seeded(n))
    assert sorted(torch.cat(found).tolist()) == list(range(n))
    assert all(len(part) and bool((part.diff() > 0).all()) for part in found)
    assert len(found) <= parts


def test_bounds_are_those_of_the_papers():
    greedy = 1 - 1 / math.e
    assert two_round_bound(1, 50, random=False) == pytest.approx(greedy)
    assert two_round_bound(10, 50, random=False) == pytest.approx(greedy / 10)
    assert two_round_bound(10, 4, random=False) == pytest.approx(greedy / 4)
    assert two_round_bound(10, 50, random=True) == pytest.approx(greedy / 2)


def test_no_part_is_refused():
    with pytest.raises(SelectorError, match="parts must be at least 1"):
        parted(5, 0, seeded())
