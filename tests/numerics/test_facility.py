import pytest
import torch

from autotune.errors import SelectorError
from autotune.numerics.similarity import Similarities, matrix, similarities
from autotune.numerics.submodular import facility_location, stochastic
from autotune.numerics.submodular.facility import FacilityLocation


def points(n, d=5, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_what_fits_and_what_is_computed_again_pick_the_same_with_the_same_owners():
    given = similarities(points(300), "euclidean")
    kept, again = facility_location(given, 60), facility_location(given, 60, memory_gib=1e-9)
    assert torch.equal(kept.picks, again.picks)
    assert torch.equal(kept.owner, again.owner)


def test_owners_are_the_picks_most_like_each_point():
    given = similarities(points(200), "euclidean")
    cover = facility_location(given, 20)
    alike = matrix(given)[cover.picks]
    assert torch.allclose(alike.gather(0, cover.owner[None])[0], alike.amax(0), atol=1e-5)
    assert float(alike.amax(0).sum()) == pytest.approx(float(cover.gains.sum()), rel=1e-5)
    assert cover.owner[cover.picks].tolist() == list(range(20))


def test_points_may_be_others_than_the_candidates():
    class Given(Similarities):
        shape = (3, 4)

        def block(self, candidates, points):
            table = torch.tensor([[9.0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 2, 8]])
            return table[candidates][:, points]

    cover = facility_location(Given(), 3)
    assert cover.picks.tolist() == [2, 0, 1]
    assert cover.gains.tolist() == [10.0, 9.0, 1.0]
    assert cover.owner.tolist() == [1, 2, 0, 0]


def test_progress_and_an_impossible_memory():
    told = []
    facility_location(similarities(points(150)), 120, progress=told.append)
    assert told == [100 / 120, 1.0]
    with pytest.raises(SelectorError, match="memory_gib must be above 0"):
        facility_location(similarities(points(5)), 2, memory_gib=0.0)


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_an_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(SelectorError, match="epsilon must be in"):
        stochastic(FacilityLocation(similarities(points(5))), 2, epsilon, torch.Generator())
