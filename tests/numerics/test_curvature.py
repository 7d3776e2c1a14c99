import pytest
import torch
import torch.nn.functional as F

from autotune.numerics import curvature
from autotune.numerics.curvature import (
    conjugate_gradients,
    curvature_cost,
    curvature_product,
    last_layer_curvature,
)

N, WIDTH, CLASSES = 40, 3, 4


def task(seed=0):
    """Inputs of a last layer and its softmax, in float64."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(N, WIDTH, generator=generator, dtype=torch.double)
    p = torch.randn(N, CLASSES, generator=generator, dtype=torch.double).softmax(1)
    return h, p


def fisher_along(basis_out, basis_in, h, p):
    """Mean over samples and over labels drawn from p of the squared gradient, in a basis; by enumeration."""
    rows = F.pad(h, (0, 1), value=1.0)
    total = 0
    for label in range(CLASSES):
        errors = p - F.one_hot(torch.tensor(label), CLASSES)
        rotated = torch.einsum("no,nd->nod", errors @ basis_out, rows @ basis_in).square()
        total = total + (p[:, label, None, None] * rotated).mean(0)
    return total


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_values_are_the_fisher_information_along_the_eigenvectors(block, monkeypatch):
    monkeypatch.setattr(curvature, "BLOCK", block)
    h, p = task()
    found = last_layer_curvature(h, p, damping=0.3)
    expected = fisher_along(found.outputs, found.inputs, h, p)
    torch.testing.assert_close(found.values, expected + 0.3 * expected.mean())
    for basis in (found.outputs, found.inputs):
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis), dtype=torch.double))


def test_it_is_the_hessian_where_all_predictions_are_alike():
    h, p = task()
    p = p[:1].expand(N, -1)
    rows = F.pad(h, (0, 1), value=1.0)
    second, spread = rows.T @ rows / N, p[0].diag() - p[0, :, None] * p[0]
    found = last_layer_curvature(h, p, damping=1e-3)
    ridge = 1e-3 * (found.values.mean() / (1 + 1e-3))
    hessian = torch.kron(spread, second) + ridge * torch.eye(CLASSES * (WIDTH + 1), dtype=torch.double)
    gradient = torch.randn(CLASSES, WIDTH + 1, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    expected = torch.linalg.solve(hessian, gradient.flatten()).view_as(gradient)
    torch.testing.assert_close(found.solve(gradient), expected)
    torch.testing.assert_close(found.solve(gradient.expand(2, -1, -1))[1], expected)


def test_self_influence_is_the_gradient_with_its_own_solution():
    h, p = task()
    errors = p - F.one_hot(torch.arange(N) % CLASSES, CLASSES)
    gradients = torch.einsum("no,nd->nod", errors, F.pad(h, (0, 1), value=1.0))
    found = last_layer_curvature(h, p, damping=0.1)
    expected = (gradients * found.solve(gradients)).sum((1, 2))
    torch.testing.assert_close(found.self_influence(h, errors), expected)
    assert bool((expected > 0).all())


def test_rows_that_are_not_finite_are_left_out_and_none_is_no_curvature():
    h, p = task()
    spoilt = h.clone()
    spoilt[5] = torch.nan
    keep = torch.arange(N) != 5
    found, expected = last_layer_curvature(spoilt, p, 0.1), last_layer_curvature(h[keep], p[keep], 0.1)
    torch.testing.assert_close(found.values, expected.values)
    empty = last_layer_curvature(h * torch.nan, p, 0.1)
    assert bool((empty.values > 0).all())


def exact(h, p):
    """The matrix itself, by the label's expectation, for gradients flattened row by row."""
    rows = F.pad(h, (0, 1), value=1.0)
    spread = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    size = CLASSES * (WIDTH + 1)
    return torch.einsum("nij,nk,nl->ikjl", spread, rows, rows).reshape(size, size) / N


@pytest.mark.parametrize("block", [1, 50, 1 << 22])
def test_products_are_those_with_the_matrix(block, monkeypatch):
    monkeypatch.setattr(curvature, "BLOCK", block)
    h, p = task()
    gradients = torch.randn(
        3, CLASSES, WIDTH + 1, dtype=torch.double, generator=torch.Generator().manual_seed(1)
    )
    expected = (gradients.flatten(1) @ exact(h, p)).view_as(gradients)
    torch.testing.assert_close(curvature_product(h, p, gradients), expected)


def test_conjugate_gradients_solve_and_few_steps_already_help():
    h, p = task()
    gradients = torch.randn(
        2, CLASSES, WIDTH + 1, dtype=torch.double, generator=torch.Generator().manual_seed(1)
    )
    matrix = exact(h, p)
    damped = matrix + 0.1 * matrix.diagonal().mean() * torch.eye(len(matrix), dtype=torch.double)
    expected = torch.linalg.solve(damped, gradients.flatten(1).T).T.view_as(gradients)
    torch.testing.assert_close(conjugate_gradients(h, p, gradients, 0.1, 40), expected)
    few, fewer = ((conjugate_gradients(h, p, gradients, 0.1, steps) - expected).norm() for steps in (6, 2))
    assert few < fewer < expected.norm()


def test_conjugate_gradients_survive_what_is_degenerate():
    h, p = task()
    gradients = torch.ones(1, CLASSES, WIDTH + 1, dtype=torch.double)
    spoilt = h.clone()
    spoilt[5] = torch.nan
    keep = torch.arange(N) != 5
    torch.testing.assert_close(
        conjugate_gradients(spoilt, p, gradients, 1.0, 5),
        conjugate_gradients(h[keep], p[keep], gradients, 1.0, 5),
    )
    assert not bool(conjugate_gradients(h, p, 0 * gradients, 1.0, 5).any())
    torch.testing.assert_close(conjugate_gradients(h * torch.nan, p, gradients, 1.0, 5), gradients)
    certain = F.one_hot(torch.zeros(N, dtype=torch.long), CLASSES).double()
    assert bool(torch.isfinite(conjugate_gradients(h, certain, gradients, 1.0, 5)).all())


def test_the_cost_grows_with_everything():
    costs = [
        curvature_cost(10, 4, 3),
        curvature_cost(20, 4, 3),
        curvature_cost(20, 8, 3),
        curvature_cost(20, 8, 5),
    ]
    assert costs == sorted(costs)
