"""The unit in which a study is billed: one pass of its reference configuration over the training split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from autotune.errors import ConfigurationError
from autotune.events import Config
from autotune.task import CustomLoop, ModelTask
from autotune.training.flops import BACKWARD, forward_flops
from autotune.training.randomness import scope
from autotune.training.room import Room


class _AttachedError(Exception):
    """Carries the model out of an own loop, which knows nothing of being probed."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__("attached")
        self.model = model


@dataclass(frozen=True)
class _Probe:
    """As much of a session as a loop uses before `attach`."""

    config: Config
    device: torch.device
    seed: int = 0

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        raise _AttachedError(model)


def model_of(room: Room, config: Config) -> nn.Module:
    """The untrained model of a configuration, also of an own loop; torch's generators stay as they are.

    Raises:
        ConfigurationError: When an own loop ends without attaching a model.
        Exception: Whatever the user's code raises.
    """
    with scope(room.samples.device):
        torch.manual_seed(0)
        if isinstance(room.task, ModelTask):
            return room.task.model(config).to(room.samples.device)
        try:
            cast(CustomLoop, room.task).train(cast(Any, _Probe(config, room.samples.device)))
        except _AttachedError as attached:
            return attached.model
    raise ConfigurationError("the loop must call session.attach(model, optimizer) before it trains")


def reference_flops(room: Room, config: Config) -> float:
    """FLOPs of forward and backward passes over the training split with a configuration's model."""
    inputs = room.samples.batch(room.train[:2].to(room.samples.device)).inputs
    return (1 + BACKWARD) * forward_flops(model_of(room, config), inputs) * len(room.train)
