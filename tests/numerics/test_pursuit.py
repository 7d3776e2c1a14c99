import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from autotune.numerics.pursuit import LastLayer, Rows, matching_pursuit

ALL_ONE_BY_ONE = 10**6


def whole(h, e):
    """The gradients, in rows, of which these are the factors."""
    return torch.einsum("no,nd->nod", e, F.pad(h, (0, 1), value=1.0)).flatten(1)


def oracle(gradients, budget, regularisation):
    """The published algorithm on whole gradients, with scipy's non-negative least squares."""
    target = gradients.sum(0)
    ridge = regularisation * (gradients**2).sum(1).mean()
    residual, picks, weights = target, [], np.zeros(0)
    for _ in range(budget):
        products = gradients @ residual
        products[picks] = -np.inf
        picks.append(int(products.argmax()))
        stacked = np.vstack([gradients[picks].T, np.sqrt(ridge) * np.eye(len(picks))])
        weights, _ = nnls(stacked, np.concatenate([target, np.zeros(len(picks))]))
        residual = target - gradients[picks].T @ weights
    return picks, weights


def class_factors(n, seed):
    """Factors of samples of one class, whose gradients agree with each other as those of a class do."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(n, 4, generator=generator, dtype=torch.double)
    logits = torch.randn(n, 3, generator=generator, dtype=torch.double)
    return h.relu(), logits.softmax(1) - torch.eye(3, dtype=torch.double)[0]


@given(n=st.integers(2, 25), seed=st.integers(0, 999), regularisation=st.sampled_from([0.01, 0.1, 1.0]))
def test_one_by_one_it_is_the_published_algorithm(n, seed, regularisation):
    h, e = class_factors(n, seed)
    gradients = whole(h, e)
    budget = max(1, n - 2)
    expected, expected_weights = oracle(gradients.numpy(), budget, regularisation)
    for atoms in (LastLayer(h, e), Rows(gradients)):
        picks, weights = matching_pursuit(atoms, budget, regularisation, ALL_ONE_BY_ONE)
        assert picks.tolist() == expected
        assert np.allclose(weights.numpy(), expected_weights, atol=1e-7 * max(1.0, expected_weights.max()))


@given(n=st.integers(1, 40), seed=st.integers(0, 999), rounds=st.integers(1, 50), data=st.data())
def test_picks_are_distinct_and_weights_the_best_for_them(n, seed, rounds, data):
    generator = torch.Generator().manual_seed(seed)
    h, e = (torch.randn(n, 2, generator=generator, dtype=torch.double) for _ in range(2))
    gradients = whole(h, e)
    budget = data.draw(st.integers(1, n))
    picks, weights = matching_pursuit(LastLayer(h, e), budget, 0.1, rounds)
    assert len(set(picks.tolist())) == len(picks) == len(weights) == budget
    chosen, target = gradients[picks].numpy(), gradients.sum(0).numpy()
    ridge = 0.1 * float(gradients.square().sum(1).mean())
    stacked = np.vstack([chosen.T, np.sqrt(ridge) * np.eye(budget)])
    best, _ = nnls(stacked, np.concatenate([target, np.zeros(budget)]))
    assert np.allclose(weights.numpy(), best, atol=1e-6 * max(1.0, best.max()))


def residual(atoms, picks, weights):
    total = atoms.total().double()
    return float((total - atoms.combined(picks, weights)).norm() / total.norm())


def test_blocks_match_about_as_well_as_single_picks_and_far_better_than_chance():
    h, e = class_factors(600, 0)
    atoms = LastLayer(h, e)
    single = residual(atoms, *matching_pursuit(atoms, 20, 0.1, ALL_ONE_BY_ONE))
    blocks = residual(atoms, *matching_pursuit(atoms, 20, 0.1, 5))
    chance = torch.arange(20)
    assert blocks < 3 * single
    assert blocks < 0.5 * residual(atoms, chance, torch.full((20,), 30.0, dtype=torch.double))


def test_of_two_equal_atoms_a_block_takes_one():
    rows = torch.tensor(
        [[3.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.double
    )
    picks, _ = matching_pursuit(Rows(rows), 3, 0.01, 1)
    assert picks.tolist() == [0, 2, 3]


@pytest.mark.parametrize("rounds", [1, 3, ALL_ONE_BY_ONE])
def test_gradients_of_zero_leave_nothing_to_match(rounds):
    picks, weights = matching_pursuit(LastLayer(torch.ones(5, 2), torch.zeros(5, 3)), 4, 0.1, rounds)
    assert picks.tolist() == [0, 1, 2, 3]
    assert not bool(weights.any())


def test_single_precision_agrees_with_double():
    h, e = class_factors(200, 2)
    exact = LastLayer(h, e)
    picks, weights = matching_pursuit(LastLayer(h.float(), e.float()), 15, 0.1, ALL_ONE_BY_ONE)
    assert residual(exact, picks, weights) == pytest.approx(
        residual(exact, *matching_pursuit(exact, 15, 0.1, ALL_ONE_BY_ONE)), rel=0.05
    )
