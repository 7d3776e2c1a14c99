"""The training settings of a configuration, as our own loop reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from autotune.errors import ConfigurationError, unknown
from autotune.policy import PREFIX
from autotune.training.eager import SGD, AdamW

CONSTANT: Final = "constant"
SCHEDULES: Final = (CONSTANT, "linear", "cosine")
OPTIMIZERS: Final = ("sgd", "adamw")
_OWN: Final = ("lr", "momentum", "nesterov", "weight_decay")  # may also be written `optimizer.<name>`
TRAINING_NAMES: Final = frozenset(
    {"optimizer", "batch_size", "schedule", "schedule.warmup", "label_smoothing", "grad_clip"}
    | set(_OWN)
    | {f"optimizer.{name}" for name in _OWN}
)
SESSION_NAMES: Final = frozenset({"schedule", "schedule.warmup"})  # what `Session.loader` reads for any loop
_FIRST_RATE: Final = 0.01  # share of the learning rate that a warm-up starts at: a step of rate 0 is lost


@dataclass(frozen=True)
class RateSchedule:
    """The learning rate over progress, the share of the horizon spent.

    Attributes:
        kind: `constant`, `linear` (to 0) or `cosine` (to 0).
        warmup: Leading share of the horizon in which the rate rises linearly, in [0, 1).
    """

    kind: str = CONSTANT
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise ConfigurationError(unknown("schedule", self.kind, SCHEDULES))
        if not 0.0 <= self.warmup < 1.0:
            raise ConfigurationError(
                f"schedule.warmup must be in [0, 1) (a share of the horizon), got {self.warmup}"
            )

    @property
    def idle(self) -> bool:
        """Whether the rate never changes, so that an own loop may set it as it likes."""
        return self.kind == CONSTANT and self.warmup == 0.0

    def factor(self, progress: float) -> float:
        """What the rate is multiplied with, in [0, 1]."""
        if progress < self.warmup:
            return max(_FIRST_RATE, progress / self.warmup)
        rest = min(1.0, (progress - self.warmup) / (1.0 - self.warmup))
        if self.kind == "linear":
            return 1.0 - rest
        return 0.5 * (1.0 + math.cos(math.pi * rest)) if self.kind == "cosine" else 1.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RateSchedule:
        """Read `schedule` and `schedule.warmup`.

        Raises:
            ConfigurationError: When a value is out of its bounds.
        """
        warmup = _number(config, "schedule.warmup", 0.0)
        return cls(str(config.get("schedule", CONSTANT)), warmup)


@dataclass(frozen=True)
class OptimizerSettings:
    """Which optimizer, and how it is set.

    Attributes:
        name: `sgd` or `adamw`.
        lr: Learning rate, above 0.
        momentum: Of `sgd`, in [0, 1).
        nesterov: Of `sgd`; has no effect without momentum.
        weight_decay: At least 0; decoupled in `adamw`.
    """

    name: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise ConfigurationError(unknown("optimizer", self.name, OPTIMIZERS))
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ConfigurationError(f"lr must be a finite number above 0, got {self.lr}")
        if not 0.0 <= self.momentum < 1.0:
            raise ConfigurationError(f"momentum must be in [0, 1), got {self.momentum}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigurationError(f"weight_decay must be finite and at least 0, got {self.weight_decay}")

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all parameters that ask for a gradient; fused, which is 2-3 times as fast."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
        fused = fused and not any(getattr(module, "sparse", False) for module in model.modules())
        if self.name == "adamw":
            return AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=fused)
        return SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=fused,
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> OptimizerSettings:
        """Read `optimizer` and its settings, written `lr` or `optimizer.lr`, and the policy's factor.

        Raises:
            ConfigurationError: When a value is out of its bounds, or given under both names.
        """
        name = str(config.get("optimizer", cls.name))
        factor = _number(config, f"{PREFIX}lr_factor", 1.0)
        return cls(
            name=name,
            lr=factor * _number(config, _key(config, "lr"), 1e-3 if name == "adamw" else cls.lr),
            momentum=_number(config, _key(config, "momentum"), cls.momentum),
            nesterov=bool(config.get(_key(config, "nesterov"), False)),
            weight_decay=_number(config, _key(config, "weight_decay"), cls.weight_decay),
        )


@dataclass(frozen=True)
class Settings:
    """Everything that our own loop reads from a configuration.

    Attributes:
        optimizer: Which, and how it is set.
        schedule: The learning rate over progress.
        batch_size: At least 1.
        label_smoothing: In [0, 1).
        grad_clip: Largest norm of the whole gradient; 0 does not clip.
    """

    optimizer: OptimizerSettings
    schedule: RateSchedule
    batch_size: int = 64
    label_smoothing: float = 0.0
    grad_clip: float = 0.0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ConfigurationError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")
        if not (math.isfinite(self.grad_clip) and self.grad_clip >= 0):
            raise ConfigurationError(f"grad_clip must be finite and at least 0, got {self.grad_clip}")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read the training settings; what a configuration lacks has its default.

        Raises:
            ConfigurationError: When a value is out of its bounds.
        """
        batch_size = _number(config, "batch_size", 64)
        if batch_size != int(batch_size):
            raise ConfigurationError(f"batch_size must be a whole number, got {batch_size}")
        factor = _number(config, f"{PREFIX}batch_factor", 1.0)
        return cls(
            optimizer=OptimizerSettings.from_config(config),
            schedule=RateSchedule.from_config(config),
            batch_size=int(batch_size) if factor == 1.0 else max(1, round(batch_size * factor)),
            label_smoothing=_number(config, "label_smoothing", 0.0),
            grad_clip=_number(config, "grad_clip", 0.0),
        )


def _key(config: Mapping[str, Any], name: str) -> str:
    """The name under which a configuration gives an optimizer's setting."""
    nested = f"optimizer.{name}"
    if name in config and nested in config:
        raise ConfigurationError(f"{name!r} and {nested!r} are both given; keep one of them", (name,))
    return nested if nested in config else name


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name} must be a number, got {value!r}")
    return float(value)
