import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.numerics.clusters import k_means


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(n=st.integers(1, 60), d=st.integers(1, 4), data=st.data())
def test_everybody_is_with_the_nearest_centre(n, d, data):
    points = torch.randn(n, d, generator=seeded(n))
    clusters = data.draw(st.integers(1, n))
    found = k_means(points, clusters, seeded())
    distances = torch.cdist(points.double(), found.centers.double())
    own = distances.gather(1, found.owner[:, None])[:, 0]
    assert bool(
        (own.square() <= distances.min(1).values.square() + 1e-4).all()
    )  # products of single precision
    assert torch.allclose(found.squared.double(), own.square(), atol=1e-4)


def test_a_centre_is_the_mean_of_its_own_and_iterations_help():
    points = torch.randn(500, 3, generator=seeded(), dtype=torch.float64)
    first, last = k_means(points, 8, seeded(), iterations=1), k_means(points, 8, seeded(), iterations=100)
    assert float(last.squared.sum()) < float(first.squared.sum())
    for cluster in range(8):
        assert torch.allclose(last.centers[cluster], points[last.owner == cluster].mean(0))


def test_far_groups_are_found_whatever_their_offset():
    centers = 100.0 * torch.eye(6) + 1e4
    points = (centers[:, None] + torch.randn(6, 40, 6, generator=seeded())).flatten(0, 1)
    found = k_means(points, 6, seeded())
    assert len({tuple(owner.tolist()) for owner in found.owner.view(6, 40)}) == 6
    assert float(found.squared.max()) < 100.0


def test_equal_points_need_no_more_than_one_centre():
    found = k_means(torch.ones(9, 2), 4, seeded())
    assert found.owner.unique().tolist() == [0]
    assert float(found.squared.max()) == 0.0


def test_more_centres_than_points_are_refused():
    with pytest.raises(SelectorError, match=r"clusters must be in \[1, 3\]"):
        k_means(torch.zeros(3, 2), 4, seeded())
