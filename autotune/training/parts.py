"""The parts of a trial's state, and a snapshot of all of them: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from autotune.errors import CheckpointError


class Part(Protocol):
    """Something whose state must survive: tensors, and the rest as JSON."""

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Its state now; the tensors may be the live ones."""

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Become what was captured."""


@dataclass(frozen=True)
class Snapshot:
    """A trial at one moment.

    Attributes:
        fidelity: The trial's own epoch-equivalents.
        tensors: `part/name` to a tensor on the CPU that nobody else holds.
        state: JSON by part.
    """

    fidelity: float
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def capture(parts: Mapping[str, Part], fidelity: float) -> Snapshot:
    """Copy the state of every part."""
    tensors: dict[str, Tensor] = {}
    state: dict[str, Any] = {}
    for name, part in parts.items():
        live, state[name] = part.capture()
        for key, tensor in live.items():
            copied = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            tensors[f"{name}/{key}"] = copied
    return Snapshot(fidelity, tensors, state)


def restore(parts: Mapping[str, Part], snapshot: Snapshot) -> None:
    """Put every part back to how it was.

    Raises:
        CheckpointError: When the state does not fit, such as that of another model.
    """
    for name, part in parts.items():
        own = {k.removeprefix(f"{name}/"): t for k, t in snapshot.tensors.items() if k.startswith(f"{name}/")}
        try:
            part.restore(own, snapshot.state[name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit this trial's {name} (has the code changed?): {error}"
            ) from error


class ModelPart:
    """A model's parameters and buffers."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Its state dict, which must hold tensors only."""
        tensors = self._model.state_dict()
        for name, value in tensors.items():
            if not isinstance(value, Tensor):
                raise CheckpointError(f"the model's extra state {name!r} must be a tensor to be saved")
        return tensors, {}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Load the state dict in place."""
        self._model.load_state_dict(dict(tensors))


class OptimizerPart:
    """Any torch optimizer: tensors apart from scalars, per parameter and per group."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state dict, split into tensors and JSON."""
        whole = self._optimizer.state_dict()
        tensors: dict[str, Tensor] = {}
        rest: dict[str, Any] = {"state": {}, "groups": {}}
        for kind, entries in (("state", whole["state"]), ("groups", dict(enumerate(whole["param_groups"])))):
            for index, values in entries.items():
                scalars = rest[kind][str(index)] = {}
                for key, value in values.items():
                    if isinstance(value, Tensor):
                        tensors[f"{kind}/{index}/{key}"] = value
                    else:
                        scalars[key] = _plain(key, value)
        return tensors, rest

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Join the two again and load them; what is a tuple in the optimizer becomes one again."""
        whole: dict[str, dict[int, dict[str, Any]]] = {
            kind: {int(index): dict(values) for index, values in state[kind].items()}
            for kind in ("state", "groups")
        }
        for name, tensor in tensors.items():
            kind, number, key = name.split("/", 2)
            whole[kind][int(number)][key] = tensor.clone()  # torch may go on with the very tensor it is given
        for index, live in enumerate(self._optimizer.param_groups):
            group = whole["groups"][index]
            group |= {key: tuple(group[key]) for key, value in live.items() if isinstance(value, tuple)}
        groups = [whole["groups"][index] for index in range(len(whole["groups"]))]
        self._optimizer.load_state_dict({"state": whole["state"], "param_groups": groups})
        for parameter, values in self._optimizer.state.items():
            values |= {key: _laid_out(value, parameter) for key, value in values.items()}


def _laid_out(value: Any, like: Tensor) -> Any:
    """In the memory layout of its parameter: fused kernels read both from end to end, heedless of strides."""
    alike = isinstance(value, Tensor) and value.shape == like.shape
    if not alike or value.stride() == like.stride():
        return value
    return torch.empty_like(like, dtype=value.dtype, requires_grad=False).copy_(value)


def _plain(key: str, value: Any) -> Any:
    """The value, if JSON can hold it."""
    if isinstance(value, list | tuple):
        return [_plain(key, item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(
        f"the optimizer's {key!r} is a {type(value).__name__}; only tensors and scalars can be saved"
    )
