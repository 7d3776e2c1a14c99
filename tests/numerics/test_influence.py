import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from autotune.numerics import influence
from autotune.numerics.influence import (
    alignment_scores,
    at_least_single,
    finite_factors,
    finite_rows,
    mean_gradient,
    mean_row,
    second_moment,
)


def factors(n, width=5, outputs=3, seed=0):
    """Embeddings and errors in float64, and the gradients that they are the factors of."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(n, width, generator=generator, dtype=torch.double)
    e = torch.randn(n, outputs, generator=generator, dtype=torch.double)
    return h, e, torch.einsum("no,nd->nod", e, F.pad(h, (0, 1), value=1.0))


@given(n=st.integers(1, 12), m=st.integers(1, 9), seed=st.integers(0, 99), block=st.integers(1, 40))
def test_products_of_factors_are_those_of_the_gradients(n, m, seed, block):
    h, e, gradients = factors(n + m, seed=seed)
    mean = mean_gradient(h[n:], e[n:])
    torch.testing.assert_close(mean, gradients[n:].mean(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(influence, "BLOCK", block)
        scores = alignment_scores(h[:n], e[:n], mean)
    torch.testing.assert_close(scores, (gradients[:n] * mean).sum((1, 2)))


@given(n=st.integers(1, 12), seed=st.integers(0, 99), block=st.integers(1, 40))
def test_a_second_moment_is_the_weighted_sum_of_outer_products(n, seed, block):
    generator = torch.Generator().manual_seed(seed)
    rows, weights = torch.randn(n, 4, generator=generator), torch.rand(n, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(influence, "BLOCK", block)
        found = second_moment(rows, weights)
    torch.testing.assert_close(found, torch.einsum("n,ni,nj->ij", weights, rows, rows))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_not_finite_have_no_part_in_anything(bad):
    h, e, _ = factors(9)
    spoilt = h.clone()
    spoilt[3, 2] = bad
    keep = torch.arange(9) != 3
    assert finite_factors(spoilt, e).tolist() == finite_factors(e, spoilt).tolist() == keep.tolist()
    assert torch.equal(mean_gradient(spoilt, e), mean_gradient(h[keep], e[keep]))
    assert torch.equal(mean_row(spoilt), mean_row(h[keep]))
    assert torch.equal(finite_rows(spoilt), h[keep])
    weights = torch.rand(9, dtype=torch.double)
    torch.testing.assert_close(second_moment(spoilt, weights), second_moment(h[keep], weights[keep]))


def test_without_a_finite_row_all_is_zero():
    h, e, _ = factors(3)
    assert not bool(mean_gradient(h * torch.nan, e).any())
    assert not bool(mean_row(h * torch.nan).any())
    assert not bool(second_moment(h * torch.nan, torch.ones(3, dtype=torch.double)).any())
    assert mean_gradient(h[:0], e[:0]).shape == (3, 6)


def test_what_is_finite_is_not_copied_and_half_precision_becomes_single():
    h, _, _ = factors(3)
    assert finite_rows(h) is h
    assert at_least_single(h) is h
    assert at_least_single(h.bfloat16()).dtype == torch.float32
