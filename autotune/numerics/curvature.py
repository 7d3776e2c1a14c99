"""The curvature of the loss by the last layer: exact, as products, and nearly diagonal (EK-FAC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.numerics.influence import BLOCK, finite_factors

TINY: Final = 1e-30  # where there is no curvature at all nothing is divided by zero


@dataclass(frozen=True)
class Curvature:
    """Generalised Gauss-Newton matrix of a softmax classifier's last layer.

    Attributes:
        outputs: Eigenvectors of its factor on the side of the outputs, in columns, shape (o, o).
        inputs: Eigenvectors of its factor on the side of the inputs and the bias, shape (d + 1, d + 1).
        values: Curvature along each pair of them, damping included, shape (o, d + 1), above 0.
    """

    outputs: Tensor
    inputs: Tensor
    values: Tensor

    def solve(self, gradients: Tensor) -> Tensor:
        """Multiply gradients by the inverse, shape (..., o, d + 1)."""
        rotated = self.outputs.T @ gradients @ self.inputs
        return self.outputs @ (rotated / self.values) @ self.inputs.T

    def self_influence(self, embeddings: Tensor, errors: Tensor) -> Tensor:
        """Each gradient times the inverse times itself, for its factors (n, d) and (n, o), shape (n,)."""
        return torch.cat(
            [
                ((e @ self.outputs).square() @ (1 / self.values) * (_biased(h) @ self.inputs).square()).sum(1)
                for h, e in _blocks(embeddings, errors)
            ]
        )


def last_layer_curvature(embeddings: Tensor, probabilities: Tensor, damping: float) -> Curvature:
    """Eigenvalue-corrected Kronecker factors of E[(diag(p) - p p') x [h; 1] [h; 1]'].

    The expectation over the model's own labels is exact: nothing is sampled.

    Reference: George et al., "Fast Approximate Natural Gradient Descent in a Kronecker-factored Eigenbasis",
    NeurIPS 2018; Grosse et al., "Studying Large Language Model Generalization with Influence Functions",
    2023.

    Args:
        embeddings: Inputs of the last layer, h, shape (n, d).
        probabilities: Softmax of its outputs, p, shape (n, o). Rows that are not finite are left out.
        damping: Added to the curvature, relative to its mean, above 0.
    """
    usable = finite_factors(embeddings, probabilities)
    if not bool(usable.all()):
        embeddings, probabilities = embeddings[usable], probabilities[usable]
    n, width, classes = max(1, len(embeddings)), embeddings.shape[1] + 1, probabilities.shape[1]
    second = embeddings.new_zeros(width, width)
    for h, _ in _blocks(embeddings, probabilities):
        second.addmm_(_biased(h).T, _biased(h), alpha=1 / n)
    spread = probabilities.sum(0).div(n).diag() - probabilities.T @ probabilities / n
    outputs, inputs = _eigenvectors(spread), _eigenvectors(second)
    values = embeddings.new_zeros(classes, width)
    for h, p in _blocks(embeddings, probabilities):
        variance = p @ outputs.square() - (p @ outputs).square()
        values.addmm_(variance.clamp_min(0).T, (_biased(h) @ inputs).square(), alpha=1 / n)
    return Curvature(outputs, inputs, (values + damping * values.mean()).clamp_min(TINY))


def curvature_product(embeddings: Tensor, probabilities: Tensor, gradients: Tensor) -> Tensor:
    """Multiply gradients by E[(diag(p) - p p') x [h; 1] [h; 1]'], exactly and without forming it.

    Args:
        embeddings: Inputs of the last layer, h, finite, shape (n, d).
        probabilities: Softmax of its outputs, p, finite, shape (n, o).
        gradients: Shape (q, o, d + 1).

    Returns:
        Shape (q, o, d + 1).
    """
    q, outputs, width = gradients.shape
    total = torch.zeros_like(gradients)
    columns = gradients.reshape(q * outputs, width).T
    size = max(1, BLOCK // max(width, q * outputs))
    for h, p in zip(torch.split(embeddings, size), torch.split(probabilities, size), strict=True):
        rows = _biased(h)
        moved = p[:, None] * (rows @ columns).view(-1, q, outputs)
        moved = moved - p[:, None] * moved.sum(2, keepdim=True)
        total += (moved.flatten(1).T @ rows).view_as(total)
    return total / max(1, len(embeddings))


def conjugate_gradients(
    embeddings: Tensor, probabilities: Tensor, gradients: Tensor, damping: float, steps: int
) -> Tensor:
    """Multiply gradients by the inverse of the damped curvature, by conjugate gradients.

    Reference: Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017,
    section 3; Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", 1952.

    Args:
        embeddings: As in `curvature_product`; rows that are not finite are left out.
        probabilities: Likewise.
        gradients: Shape (q, o, d + 1).
        damping: Added to the curvature, relative to its mean, above 0.
        steps: At most so many.

    Returns:
        Shape (q, o, d + 1), float64.
    """
    usable = finite_factors(embeddings, probabilities)
    if not bool(usable.all()):
        embeddings, probabilities = embeddings[usable], probabilities[usable]
    spread = (1 - probabilities.square().sum(1)) * (embeddings.square().sum(1) + 1)
    ridge = max(TINY, damping * float(spread.mean()) / gradients[0].numel()) if len(spread) else 1.0
    residual = gradients.double()
    solution, direction, square = torch.zeros_like(residual), residual, _squares(residual)
    for _ in range(steps):
        product = curvature_product(embeddings, probabilities, direction.to(gradients.dtype)).double()
        product += ridge * direction
        step = square / (direction * product).sum((1, 2), keepdim=True).clamp_min(TINY)
        solution = solution + step * direction
        residual = residual - step * product
        before, square = square, _squares(residual)
        direction = residual + square / before.clamp_min(TINY) * direction
    return solution


def curvature_cost(n: int, width: int, outputs: int) -> float:
    """FLOPs of `last_layer_curvature`: its two passes, and eigenvectors at 10 operations per cubed side."""
    return 2.0 * n * ((width + 1) ** 2 * 2 + outputs * (width + 3 * outputs)) + 10.0 * (width**3 + outputs**3)


def _squares(gradients: Tensor) -> Tensor:
    return gradients.square().sum((1, 2), keepdim=True)


def _eigenvectors(matrix: Tensor) -> Tensor:
    """In columns, found in float64; of sides in the thousands that takes seconds."""
    vectors: Tensor = torch.linalg.eigh(matrix.double()).eigenvectors
    return vectors.to(matrix.dtype)


def _biased(embeddings: Tensor) -> Tensor:
    return F.pad(embeddings, (0, 1), value=1.0)


def _blocks(embeddings: Tensor, others: Tensor) -> list[tuple[Tensor, Tensor]]:
    size = max(1, BLOCK // (embeddings.shape[1] + 1))
    return list(zip(torch.split(embeddings, size), torch.split(others, size), strict=True))
