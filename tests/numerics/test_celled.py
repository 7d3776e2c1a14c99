"""Facility location in cells: exact within each, one order for all."""

import pytest
import torch

from autotune.numerics.similarity import similarities
from autotune.numerics.submodular import celled_facility_location, facility_location
from autotune.numerics.submodular.celled import cells


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(sizes, spread=0.05, width=8):
    """Groups around directions that are at right angles to each other."""
    noise = [spread * torch.randn(n, width, generator=seeded(at)) for at, n in enumerate(sizes)]
    return torch.cat([torch.eye(width)[at] + one for at, one in enumerate(noise)])


def value(given, picks):
    return float(given.block(picks, slice(None)).amax(0).double().sum())


@pytest.mark.parametrize("largest", [1, 7, 100, 1000])
def test_cells_are_a_partition_and_no_larger_than_allowed(largest):
    points = blobs([60, 90, 150])
    found = list(cells(points, torch.arange(300), largest, seeded()))
    assert torch.equal(torch.cat(found).sort().values, torch.arange(300))
    assert max(map(len, found)) <= largest


def test_samples_that_are_all_alike_are_cut_anywhere():
    found = list(cells(torch.ones(50, 3), torch.arange(50), 8, seeded()))
    assert max(map(len, found)) <= 8
    assert sum(map(len, found)) == 50


def test_one_cell_is_exact_greedy():
    given = similarities(torch.randn(200, 6, generator=seeded()), "euclidean")
    celled, exact = celled_facility_location(given, 40, seeded(), largest=200), facility_location(given, 40)
    assert torch.equal(celled.picks, exact.picks)
    torch.testing.assert_close(celled.gains, exact.gains)


def test_cells_that_do_not_see_each_other_give_the_exact_order():
    """Groups so far apart that similarities between them are zero: greedy of all is the merged order."""
    points = 100 * blobs([40, 60, 80], spread=0.01)
    given = similarities(points, "rbf")
    celled, exact = celled_facility_location(given, 30, seeded(), largest=80), facility_location(given, 30)
    assert value(given, celled.picks) == pytest.approx(value(given, exact.picks), rel=1e-4)


def test_a_cell_gives_as_many_picks_as_it_deserves_and_not_its_share():
    """All of the variety is in one small group, so it gives nearly all picks."""
    dull, varied = torch.eye(8)[:1].repeat(900, 1), torch.randn(100, 8, generator=seeded(1))
    given = similarities(torch.cat([dull, varied]), "euclidean")
    order = celled_facility_location(given, 60, seeded(), largest=500)
    assert int((order.picks >= 900).sum()) >= 55
    assert len(order.picks.unique()) == 60


def test_the_order_is_nested_and_gains_fall():
    given = similarities(blobs([100, 100, 100], spread=0.5))
    longer, shorter = (celled_facility_location(given, budget, seeded(), largest=120) for budget in (60, 25))
    assert torch.equal(longer.picks[:25], shorter.picks)
    assert bool((longer.gains.diff() <= 1e-6).all())


def test_most_of_the_gap_between_chance_and_exact_greedy_is_closed():
    points = torch.randn(3000, 6, generator=seeded())  # no clusters at all: the hardest there is for cells
    given = similarities(points)
    exact = value(given, facility_location(given, 60).picks)
    celled = value(given, celled_facility_location(given, 60, seeded(), largest=600).picks)
    chance = sum(value(given, torch.randperm(3000, generator=seeded(s))[:60]) for s in range(5)) / 5
    assert (celled - chance) / (exact - chance) > 0.6


def test_progress_ends_at_one():
    told = []
    given = similarities(blobs([50, 50]))
    celled_facility_location(given, 10, seeded(), largest=40, progress=told.append)
    assert told[-1] == 1.0


def test_the_order_is_nested_where_samples_have_copies():
    points = torch.randn(40, 4, generator=seeded()).repeat(4, 1)
    given = similarities(points, "cosine")
    whole = celled_facility_location(given, 32, seeded(), largest=30)
    for budget in range(1, 32):
        shorter = celled_facility_location(given, budget, seeded(), largest=30)
        assert torch.equal(whole.picks[:budget], shorter.picks), budget
