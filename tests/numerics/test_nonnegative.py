import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from autotune.numerics.nonnegative import GrowingFit


def oracle(atoms, target, ridge):
    """The same by scipy, from the atoms themselves."""
    stacked = np.vstack([atoms.T.numpy(), np.sqrt(ridge) * np.eye(len(atoms))])
    return nnls(stacked, np.concatenate([target.numpy(), np.zeros(len(atoms))]))[0]


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=8),
    width=st.integers(1, 9),
    ridge=st.sampled_from([1e-3, 0.1, 10.0]),
    seed=st.integers(0, 10_000),
)
def test_after_every_addition_it_is_the_minimum(sizes, width, ridge, seed):
    generator = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    atoms = torch.randn(n, width, generator=generator, dtype=torch.double) + 0.3
    target = 5 * torch.randn(width, generator=generator, dtype=torch.double)
    fit, end = GrowingFit(n, ridge), 0
    for size in sizes:
        start, end = end, end + size
        fit.add(atoms[start:end] @ atoms[:end].T, atoms[start:end] @ target)
        expected = oracle(atoms[:end], target, ridge)
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(fit.weights.numpy() - expected).max() <= 1e-7 * scale
        assert bool((fit.weights >= 0).all())


@pytest.mark.parametrize("moment", [0.0, -1.0])
def test_where_nothing_helps_all_weights_are_zero(moment):
    fit = GrowingFit(3, 0.1)
    fit.add(torch.eye(3, dtype=torch.double), torch.full((3,), moment, dtype=torch.double))
    assert fit.weights.tolist() == [0.0, 0.0, 0.0]


def test_duplicates_share_their_weight():
    fit = GrowingFit(2, 0.5)
    fit.add(torch.ones(2, 2, dtype=torch.double), torch.ones(2, dtype=torch.double))
    assert fit.weights.tolist() == pytest.approx([0.4, 0.4])
