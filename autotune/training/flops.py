"""What a pass over one sample costs, counted from the operators that a model runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.lazy import LazyModuleMixin

from autotune.training.eager import flop_counter
from autotune.training.modes import evaluating

BACKWARD: Final = 2.0  # a backward pass costs two forward passes


def forward_flops(model: nn.Module, inputs: Tensor) -> float:
    """FLOPs of one forward pass per sample; forward and backward together cost three times as much.

    A model whose operators count for nothing (or that cannot be called with inputs alone) is charged two
    FLOPs per parameter instead. No random number is drawn and nothing of the model changes.

    Args:
        model: On the device of `inputs`.
        inputs: A few prepared samples, shape (b, ...).
    """
    with _plain_operators(), evaluating(model):
        try:
            with flop_counter() as counter:
                model(inputs)
            total = float(counter.get_total_flops())
        except Exception:  # an own loop may call its model in its own way
            total = 0.0
    if total > 0:
        return total / len(inputs)
    return 2.0 * max(1, sum(parameter.numel() for parameter in model.parameters()))


def is_lazy(model: nn.Module) -> bool:
    """Whether a part of it takes its shape from the first inputs that it sees."""
    return any(isinstance(module, LazyModuleMixin) for module in model.modules())


@contextmanager
def _plain_operators() -> Iterator[None]:
    """Keep torch from fused operators, which the counter does not know: attention, encoders, LSTMs."""
    on_cpu = torch.backends.mkldnn.enabled
    # its `flags` would set more than this, with a warning
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property on a module
    try:
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch.backends.mkldnn.enabled = on_cpu


@dataclass(frozen=True)
class PassCost:
    """What passes over samples cost.

    Attributes:
        forward: FLOPs of a forward pass over one sample.
        samples: Size of the training split.
    """

    forward: float
    samples: int

    @property
    def epoch(self) -> float:
        """FLOPs of one forward and backward pass over the training split: an epoch-equivalent."""
        return self.training(self.samples)

    def training(self, samples: int) -> float:
        """FLOPs of forward and backward passes over some samples."""
        return (1.0 + BACKWARD) * self.forward * samples

    def scoring(self, samples: int) -> float:
        """FLOPs of forward passes over some samples."""
        return self.forward * samples
