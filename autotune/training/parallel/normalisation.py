"""Batch normalisation over the whole batch, whichever ranks have its rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autotune.training.parallel.ranks import Ranks


@contextmanager
def normalising_together(model: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Within, batch normalisation in training mode uses the mean and variance of all ranks' rows.

    Torch's own `SyncBatchNorm` does the same on accelerators only, and replaces the modules.
    """
    changed = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for module in changed:
        vars(module)["forward"] = partial(_forward, module, ranks)
    try:
        yield
    finally:
        for module in changed:
            del vars(module)["forward"]  # that of its class again


def _forward(module: _BatchNorm, ranks: Ranks, inputs: Tensor) -> Tensor:
    if not module.training and module.running_mean is not None:
        plain: Tensor = type(module).forward(module, inputs)
        return plain
    module._check_input_dim(inputs)  # type: ignore[no-untyped-call]  # torch's
    outputs, mean, variance, count = normalised(inputs, module.eps, ranks)
    if module.training and module.track_running_stats:
        _remember(module, mean, variance * (count / (count - 1.0)))
    if module.affine:
        outputs = outputs * _along(module.weight, inputs) + _along(module.bias, inputs)
    return outputs.to(inputs.dtype)


def normalised(inputs: Tensor, eps: float, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs of mean 0 and variance 1 over all ranks' rows, by channel.

    Sums and sums of squares are of double precision, and travel together.

    Args:
        inputs: Of this rank, shape (b, channels, ...).
        eps: Added to the variance.
        ranks: Among whom.

    Returns:
        The inputs normalised; mean and biased variance, shape (channels,); and how many values each is of.
    """
    axes = [axis for axis in range(inputs.dim()) if axis != 1]
    values = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
    sums = [power.sum(axes, dtype=torch.double) for power in (values, values.square())]
    own = sums[0].new_full((1,), values.numel() / values.shape[1])
    total = _total(torch.cat([*sums, own]), ranks)
    count, channels = total[-1].detach(), values.shape[1]
    mean = total[:channels] / count
    variance = (total[channels:-1] / count - mean.square()).clamp_min(0.0)
    scale = (variance + eps).rsqrt()
    outputs = (values - _along(mean, values)) * _along(scale, values)
    return outputs, mean.detach(), variance.detach(), count


def _remember(module: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Take a batch into the running statistics, as torch does."""
    assert module.running_mean is not None and module.running_var is not None  # `track_running_stats` says so
    weight = module.momentum
    if module.num_batches_tracked is not None:
        module.num_batches_tracked.add_(1)
        if weight is None:
            weight = 1.0 / float(module.num_batches_tracked)
    module.running_mean.lerp_(mean.to(module.running_mean.dtype), weight or 0.0)
    module.running_var.lerp_(variance.to(module.running_var.dtype), weight or 0.0)


def _along(channels: Tensor, like: Tensor) -> Tensor:
    return channels.to(like.dtype).view(1, -1, *[1] * (like.dim() - 2))


def _total(values: Tensor, ranks: Ranks) -> Tensor:
    total: Tensor = _Total.apply(values, ranks)  # type: ignore[no-untyped-call]  # torch's
    return total


class _Total(torch.autograd.Function):
    """A sum over all ranks. The loss is a sum over them, too, so gradients add up likewise."""

    @staticmethod
    def forward(context: Any, values: Tensor, ranks: Ranks) -> Tensor:
        context.ranks = ranks
        return _summed(values, ranks)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _summed(gradient, context.ranks), None


def _summed(values: Tensor, ranks: Ranks) -> Tensor:
    total = values.clone()
    ranks.any()
    ranks.add([total])
    return total
