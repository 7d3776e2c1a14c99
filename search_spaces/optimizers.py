"""Optimizers, each with learning rates of its own."""

from __future__ import annotations

from typing import Final, TypeAlias

from autotune.space import Choice, Dimension, Float, Scalar

Range: TypeAlias = Dimension | Scalar

SGD_LR: Final = Float(1e-3, 1.0, log=True)
SGD_DECAY: Final = Float(1e-6, 1e-2, log=True)
MOMENTUM: Final = Float(0.8, 0.99)
ADAMW_LR: Final = Float(1e-5, 1e-2, log=True)
ADAMW_DECAY: Final = Float(1e-4, 0.3, log=True)  # decoupled: multiplied by the rate, hence larger


def sgd(
    lr: Range = SGD_LR,
    momentum: Range = MOMENTUM,
    weight_decay: Range = SGD_DECAY,
    nesterov: Range = True,
) -> dict[str, Range]:
    """Parameters of SGD with momentum, to put under the option `sgd`."""
    return {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}


def adamw(lr: Range = ADAMW_LR, weight_decay: Range = ADAMW_DECAY) -> dict[str, Range]:
    """Parameters of AdamW, to put under the option `adamw`."""
    return {"lr": lr, "weight_decay": weight_decay}


def sgd_or_adamw(
    sgd_lr: Range = SGD_LR,
    adamw_lr: Range = ADAMW_LR,
    momentum: Range = MOMENTUM,
    sgd_decay: Range = SGD_DECAY,
    adamw_decay: Range = ADAMW_DECAY,
) -> Choice:
    """The parameter `optimizer`: SGD with momentum or AdamW, each with its own rate and weight decay.

    >>> sgd_or_adamw(adamw_lr=1e-3).children("adamw")["lr"]
    Fixed(value=0.001)
    """
    return Choice({"sgd": sgd(sgd_lr, momentum, sgd_decay), "adamw": adamw(adamw_lr, adamw_decay)})
