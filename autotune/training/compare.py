"""The weights by which trials are compared: all in the same decay state, wherever in training they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

WINDOW: Final = 0.1  # the average reaches back over about this share of the steps so far
BRANCH_SHARE: Final = 0.05  # of a rung's fidelity, over which a branch takes the rate to 0


class Judged:
    """Weights to evaluate instead of the live ones; none at first.

    Attributes:
        weights: By name in the model's state dict; what is absent is taken from the live model.
    """

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}

    def step(self) -> None:
        """One training step was made."""

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights."""
        return dict(self.weights), {}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Become what was captured."""
        self.weights = dict(tensors)


class Average(Judged):
    """An exponential moving average of the parameters over a share of the steps so far.

    The newest weights enter with 1 / (1 + WINDOW * steps before), so that the first steps are soon
    forgotten, and a trial of any length is averaged over the same share of its steps. The running statistics
    of normalisation are averaged alike: those of the live weights alone belong to other activations.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._steps = 0
        live = {n: value for n, value in _averaged(model) if value.is_floating_point() or value.is_complex()}
        self.weights = {name: value.detach().to(_wide(value), copy=True) for name, value in live.items()}
        pairs = [(self.weights[name], value) for name, value in live.items()]
        alike = [(own, value) for own, value in pairs if own.dtype == value.dtype]
        self._alike = ([own for own, _ in alike], [value for _, value in alike])
        self._narrow = [(own, value) for own, value in pairs if own.dtype != value.dtype]

    def step(self) -> None:
        """Take in the weights after a step."""
        share = 1.0 / (1.0 + WINDOW * self._steps)
        with torch.no_grad():
            if self._alike[0]:
                torch._foreach_lerp_(*self._alike, share)
            for own, value in self._narrow:
                own.lerp_(value.to(own.dtype), share)
        self._steps += 1

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The average and its age."""
        return dict(self.weights), {"steps": self._steps}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Become what was captured."""
        for name, weights in self.weights.items():
            weights.copy_(tensors[name])
        self._steps = state["steps"]


def _wide(value: Tensor) -> torch.dtype:
    """Small steps of an average are lost in a number of half precision."""
    return torch.float32 if value.dtype in (torch.float16, torch.bfloat16) else value.dtype


def _averaged(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What is trained, what is shared under each of its names, and statistics of normalisation."""
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.requires_grad:
            yield name, parameter
    for prefix, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, _NormBase) and module.track_running_stats:
            yield from module.named_buffers(prefix, recurse=False)


@contextmanager
def wearing(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The model has other weights for a while, and then its own again."""
    live = model.state_dict()
    own = {name: live[name].clone() for name in weights}
    with torch.no_grad():
        for name, value in weights.items():
            live[name].copy_(value)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in own.items():
                live[name].copy_(value)
