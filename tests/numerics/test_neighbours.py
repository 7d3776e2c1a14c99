import pytest
import torch

from autotune.errors import SelectorError
from autotune.numerics.neighbours import nearest


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def points(n, d=4):
    return torch.randn(n, d, generator=seeded(n))


def exact(rows, count):
    distances = torch.cdist(rows.double(), rows.double()).square().fill_diagonal_(torch.inf)
    return distances.topk(count, largest=False)


@pytest.mark.parametrize("n", [2, 7, 300])
def test_all_pairs_are_looked_at_where_they_are_few(n):
    rows, count = points(n) + 50.0, min(5, n - 1)
    near, wanted = nearest(rows, count, seeded()), exact(rows, count)
    assert torch.equal(near.ids, wanted.indices)
    assert torch.allclose(near.squared.double(), wanted.values, atol=1e-4)


def test_cells_find_nearly_all_and_every_one_where_all_are_probed():
    rows = points(6000)
    wanted = exact(rows, 10).indices

    def recall(probes):
        found = nearest(rows, 10, seeded(), probes=probes).ids
        assert bool((found != torch.arange(6000)[:, None]).all())
        assert all(len(set(row)) == 10 for row in found[::500].tolist())
        return float((found[:, :, None] == wanted[:, None, :]).any(2).float().mean())

    assert 0.5 < recall(1) < recall(4)
    assert recall(4) > 0.85
    assert recall(12) == 1.0


def test_where_cells_are_small_more_are_looked_into():
    rows = points(1200, 2)
    near = nearest(rows, 1100, seeded(), probes=1)
    assert near.ids.shape == (1200, 1100)
    assert all(len(set(row)) == 1100 for row in near.ids[::300].tolist())


def test_copies_are_at_no_distance():
    rows = points(20)
    near = nearest(torch.cat([rows, rows]) + 100.0, 1, seeded())
    assert (near.ids[:, 0] % 20).tolist() == list(range(20)) * 2
    assert float(near.squared.max()) == 0.0


def test_progress_ends_at_one():
    told = []
    nearest(points(3000), 3, seeded(), probes=2, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("count", "probes", "name"), [(0, None, "count"), (5, None, "count"), (2, 0, "probes")]
)
def test_values_out_of_range_are_refused(count, probes, name):
    with pytest.raises(SelectorError, match=f"{name} must be"):
        nearest(points(5), count, seeded(), probes=probes)
