"""Products of gradients, which rules about influence share; no gradient of a weight matrix is ever formed.

Gradients come in two forms: as the factors of the last layer, e [h; 1]' for its input h and the error e at
its output, and as random projections, whose inner products are those of whole gradients in expectation.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK: Final = 1 << 22  # numbers in the largest temporary: 16 MiB of float32
NOMINAL_OUTPUTS: Final = 32  # where there are more, a pass over the model costs so much that the rule is free


def mean_gradient(embeddings: Tensor, errors: Tensor) -> Tensor:
    """Mean gradient of the last layer's weight and bias, G = E' [H 1] / m.

    Args:
        embeddings: Inputs of the last layer, H, shape (m, width); rows that are not finite are left out.
        errors: Gradients with respect to its outputs, E, shape (m, outputs).

    Returns:
        Shape (outputs, width + 1); zero where no row is finite.
    """
    usable = finite_factors(embeddings, errors)
    rows = F.pad(embeddings[usable], (0, 1), value=1.0)
    return errors[usable].T @ rows / max(1, len(rows))


def alignment_scores(embeddings: Tensor, errors: Tensor, gradient: Tensor) -> Tensor:
    """Inner product of each sample's last-layer gradient with a given one, e_i' G [h_i; 1].

    A gradient step on sample i lowers the loss whose gradient is G by this, to first order and per unit of
    learning rate. It takes n x outputs numbers at most, in blocks, never n x outputs x width.

    Args:
        embeddings: Inputs of the last layer, h, shape (n, width).
        errors: Gradients with respect to its outputs, e, shape (n, outputs).
        gradient: G, shape (outputs, width + 1); the last column belongs to the bias.

    Returns:
        Scores, shape (n,); higher is better aligned.
    """
    weight, bias = gradient[:, :-1], gradient[:, -1]
    block = max(1, BLOCK // max(1, len(gradient)))
    return torch.cat(
        [
            (torch.addmm(bias, h, weight.T) * e).sum(1)
            for h, e in zip(torch.split(embeddings, block), torch.split(errors, block), strict=True)
        ]
    )


def alignment_cost(n: int, width: int) -> float:
    """FLOPs of `alignment_scores`, 2 n o (d + 2); o is not known to a rule and taken as d, but at most 32."""
    return 2.0 * n * min(width, NOMINAL_OUTPUTS) * (width + 2)


def at_least_single(values: Tensor) -> Tensor:
    """As float32, unless it is float64."""
    return values if values.dtype == torch.double else values.float()


def finite_factors(embeddings: Tensor, errors: Tensor) -> Tensor:
    """Which samples have finite factors, shape (n,); a sum is finite only where all of it is."""
    return torch.isfinite(embeddings.sum(1)) & torch.isfinite(errors.sum(1))


def finite_rows(rows: Tensor) -> Tensor:
    """The rows without a value that is not finite; no copy where that is all of them."""
    usable = torch.isfinite(rows.sum(1))
    return rows if bool(usable.all()) else rows[usable]


def mean_row(rows: Tensor) -> Tensor:
    """Mean of the finite rows of an (m, k) array, shape (k,); zero where there is none."""
    usable = finite_rows(rows)
    return usable.sum(0) / max(1, len(usable))


def second_moment(rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of outer products of the finite rows, sum_i w_i g_i g_i', in blocks.

    Args:
        rows: g, shape (n, k).
        weights: w, finite, shape (n,).

    Returns:
        Shape (k, k); zero where no row is finite.
    """
    total = rows.new_zeros(rows.shape[1], rows.shape[1])
    block = max(1, BLOCK // max(1, rows.shape[1]))
    for part, weight in zip(torch.split(rows, block), torch.split(weights, block), strict=True):
        usable = torch.isfinite(part.sum(1))
        kept = part if bool(usable.all()) else part[usable]
        total.addmm_(kept.T, kept * weight[usable, None])
    return total
