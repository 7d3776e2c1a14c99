import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.errors import SelectorError
from autotune.numerics import similarity
from autotune.numerics.similarity import (
    ALL,
    FeatureSimilarities,
    Kernel,
    Similarities,
    matrix,
    similarities,
    totals,
)

KERNELS = list(Kernel)


def points(n=50, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def expected(features, kernel):
    """By the definitions, in float64."""
    distances = torch.cdist(features, features)
    if kernel is Kernel.COSINE:
        unit = features / features.norm(dim=1, keepdim=True)
        return (1 + unit @ unit.T) / 2
    if kernel is Kernel.RBF:
        return torch.exp(-distances.square() / distances.square().mean())
    return 2 * (features - features.mean(0)).norm(dim=1).max() - distances


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_as_defined_up_to_the_unit_of_length(kernel):
    features = points()
    found, wanted = matrix(similarities(features, kernel)), expected(features, kernel)
    assert torch.allclose(found / found.max(), wanted / wanted.max(), atol=1e-5)


@settings(max_examples=30)
@given(
    n=st.integers(1, 40),
    kernel=st.sampled_from(KERNELS),
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-30, 1.0, 1e30]),
)
def test_they_are_never_negative_and_largest_with_itself(n, kernel, seed, scale):
    alike = matrix(similarities(points(n, 3, seed).float() * scale, kernel))
    assert bool((alike >= -1e-6).all())
    assert bool(torch.isfinite(alike).all())
    assert bool((alike <= alike.diagonal() + 1e-5).all())


@pytest.mark.parametrize("kernel", KERNELS)
def test_blocks_of_any_size_give_the_same(kernel):
    given_all = similarities(points(), kernel)
    whole, sums = matrix(given_all), totals(given_all)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BLOCK_BYTES", 4 * 50 * 7)
        assert torch.allclose(totals(given_all), sums)
        only = FeatureSimilarities(given_all.kernel, given_all.rows[:20], given_all.columns, given_all.scale)
        assert torch.allclose(matrix(only), whole[:20])
    assert torch.allclose(sums, whole.sum(1))
    rows = torch.tensor([3, 1, 40])
    assert torch.allclose(given_all.block(rows, slice(5, 9)), whole[rows, 5:9])


@pytest.mark.parametrize("kernel", KERNELS)
def test_at_a_distance_is_what_a_block_has(kernel):
    given_all = similarities(points(), kernel)
    squared = torch.cdist(given_all.rows, given_all.rows).square()
    assert torch.allclose(given_all.at(squared), matrix(given_all), atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("rows", [torch.zeros(4, 3), torch.ones(4, 3), torch.ones(1, 3)])
def test_equal_samples_are_equally_alike(kernel, rows):
    alike = matrix(similarities(rows, kernel))
    assert torch.allclose(alike, alike[0, 0].expand_as(alike))
    assert float(alike[0, 0]) > 0


def test_similarities_of_your_own_are_summed_by_blocks():
    class Own(Similarities):
        shape = (5, 3)

        def block(self, candidates, points):
            return torch.arange(15.0).view(5, 3)[candidates][:, points]

    assert totals(Own()).tolist() == [3.0, 12.0, 21.0, 30.0, 39.0]
    assert torch.equal(matrix(Own()), Own().block(ALL, ALL))


def test_an_unknown_kernel_is_refused():
    with pytest.raises(SelectorError, match="unknown kernel 'rfb'; did you mean 'rbf'"):
        similarities(points(), "rfb")


def test_samples_without_a_direction_are_alike_and_half_like_all_others():
    rows = torch.cat([torch.zeros(2, 3), torch.eye(3)])
    given_all = similarities(rows, "cosine")
    whole = matrix(given_all)
    assert torch.allclose(whole.diagonal(), torch.ones(5))
    assert torch.allclose(whole[0, 1], torch.tensor(1.0))
    assert torch.allclose(whole[:2, 2:], torch.full((2, 3), 0.5))
    squared = torch.cdist(given_all.rows, given_all.rows).square()
    assert torch.allclose(given_all.at(squared), whole, atol=1e-5)
