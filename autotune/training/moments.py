"""An optimizer's second moments in rank one, so that what is preconditioned stays an outer product."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

FLOOR: Final = 1e-3  # of the mean: a sample's own gradient enters Adam's second moment with 1 - beta2
_NAMES: Final = ("exp_avg_sq", "square_avg", "sum")  # Adam and its kin, RMSprop and Adadelta, Adagrad


def root_factors(
    optimizer: torch.optim.Optimizer, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor] | None:
    """What rows and columns of a weight's gradient are multiplied by, to divide it by the root of its moment.

    With v the second moment as a matrix, and r and c the means of its rows and its columns, v is close to
    r c' / mean(v), and dividing by its root scales rows by 1 / sqrt(r) and columns by sqrt(mean(v) / c). The
    bias correction is the same for all entries and left out.

    Reference: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018;
    Xia et al., "LESS: Selecting Influential Data for Targeted Instruction Tuning", ICML 2024.

    Args:
        optimizer: Any.
        weight: One of its parameters, rows first.
        bias: Its bias, the last column; None leaves that column as it is.

    Returns:
        Shapes (rows,) and (columns + 1,), positive; None where the optimizer keeps no second moments, such
        as SGD, or has none yet.
    """
    moment = _moment(optimizer, weight)
    if moment is None:
        return None
    matrix = moment.flatten(1).double()
    of_bias = None if bias is None else _moment(optimizer, bias)
    if of_bias is not None:
        matrix = torch.cat([matrix, of_bias.double().unsqueeze(1)], 1)
    mean = matrix.mean()
    if not bool(mean > 0):
        return None
    rows, columns = (matrix.mean(axis).clamp_min(FLOOR * mean) for axis in (1, 0))
    scale = (mean / columns).sqrt()
    if of_bias is None:
        scale = torch.cat([scale, scale.new_ones(1)])
    return rows.rsqrt().to(weight), scale.to(weight)


def _moment(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor | None:
    state = optimizer.state.get(parameter, {})
    return next((state[name] for name in _NAMES if isinstance(state.get(name), Tensor)), None)
