import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.numerics.neighbours import nearest
from autotune.numerics.similarity import Kernel, matrix, similarities
from autotune.numerics.submodular import facility_location, largest_first, sparse_facility_location


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30)
@given(
    n=st.integers(2, 40),
    count=st.integers(1, 12),
    front=st.integers(1, 9),
    kernel=st.sampled_from(list(Kernel)),
)
def test_the_picks_are_greedy_on_the_graph(n, count, front, kernel):
    given_all = similarities(torch.randn(n, 3, generator=seeded(n)).double(), kernel)
    near = nearest(given_all.rows, min(count, n - 1), seeded())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autotune.numerics.submodular.greedy.FRONT", front)
        order = sparse_facility_location(near, given_all, n)
    edges = torch.eye(n, dtype=torch.bool)
    edges[torch.arange(n)[:, None], near.ids] = True
    alike = torch.where(edges, matrix(given_all), 0.0).T  # candidates x points
    best = torch.zeros(n, dtype=torch.float64)
    assert sorted(order.picks.tolist()) == list(range(n))
    for pick, gain in zip(order.picks.tolist(), order.gains.tolist(), strict=True):
        gains = (alike - best).clamp_min(0).sum(1)
        assert gains[pick] >= gains.max() - 1e-5
        assert gain == pytest.approx(float(gains[pick]), abs=1e-5)
        best = torch.maximum(best, alike[pick])


def test_with_all_neighbours_it_is_the_dense_one():
    given_all = similarities(torch.randn(60, 4, generator=seeded()).double(), "rbf")
    sparse = sparse_facility_location(nearest(given_all.rows, 59, seeded()), given_all, 20)
    assert sparse.picks.tolist() == facility_location(given_all, 20).picks.tolist()


def test_a_few_neighbours_close_most_of_the_gap_between_chance_and_exact_greedy():
    centers = torch.randn(60, 6, generator=seeded(1))
    points = (2 * centers[:, None] + torch.randn(60, 50, 6, generator=seeded(2))).flatten(0, 1)
    given_all = similarities(points, "cosine")
    alike = matrix(given_all)

    def covered(picks):
        return float(alike[picks].amax(0).double().sum())

    chance = np.mean([covered(torch.randperm(3000, generator=seeded(seed))[:60]) for seed in range(5)])
    exact = covered(facility_location(given_all, 60).picks)
    sparse = covered(
        sparse_facility_location(nearest(given_all.rows, 32, seeded(), probes=4), given_all, 60).picks
    )
    assert (sparse - chance) / (exact - chance) > 0.85


@given(
    values=st.lists(st.integers(-3, 5), min_size=1, max_size=30),
    front=st.integers(1, 7),
    drop=st.integers(0, 3),
)
def test_the_largest_come_first_while_values_fall(values, front, drop):
    array = np.array(values, dtype=np.float64)
    plain = array.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autotune.numerics.submodular.greedy.FRONT", front)
        for place, value in largest_first(array, len(values)):
            wanted = int(plain.argmax())
            assert (place, value) == (wanted, plain[wanted])
            plain[wanted] = -np.inf
            for falling in (array, plain):
                falling[::2] -= drop
    assert np.isneginf(array).all()
