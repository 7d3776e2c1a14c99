"""Optimizer steps of many trials at once: each row of a matrix is all the weights of one trial.

The rules are those of `torch.optim`, with numbers of each row's own. They work in place and need next to no
memory, so that nothing is half done where it runs out; the gradients are used up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from autotune.training.eager import SGD, AdamW

State: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class Rule:
    """How an optimizer's step is made for many rows.

    Attributes:
        states: Names of what it keeps for each weight, as torch's optimizer calls it.
        numbers: Of a row, from its parameter group.
        step: In place: weights and gradients, shape (rows, weights), states likewise, the rows' numbers and
            their counts of this step, from 1, each of shape (rows, 1).
        plain: Settings that a group must have.
    """

    states: tuple[str, ...]
    numbers: Callable[[Mapping[str, Any]], tuple[float, ...]]
    step: Callable[[Tensor, Tensor, State, tuple[Tensor, ...], Tensor], None]
    plain: Mapping[str, Any]


def rule_of(optimizer: torch.optim.Optimizer) -> Rule | None:
    """The rule that makes the optimizer's steps; None where there is none."""
    rule = RULES.get(type(optimizer))
    groups = optimizer.param_groups
    if (
        rule is None
        or len(groups) != 1
        or any(groups[0][name] != value for name, value in rule.plain.items())
    ):
        return None
    return rule


def sgd_numbers(group: Mapping[str, Any]) -> tuple[float, ...]:
    """Rate, decay, momentum, and how much of the gradient and of the buffer a step takes."""
    momentum, ahead = group["momentum"], group["nesterov"]
    of_gradient = 1.0 if ahead or momentum == 0 else 0.0
    of_buffer = momentum if ahead or momentum == 0 else 1.0
    return group["lr"], group["weight_decay"], momentum, of_gradient, of_buffer


def sgd_step(
    weights: Tensor, gradients: Tensor, states: State, numbers: tuple[Tensor, ...], counts: Tensor
) -> None:
    """SGD with momentum, Nesterov's or the plain one, or without."""
    rate, decay, momentum, of_gradient, of_buffer = numbers
    buffer = states["momentum_buffer"]
    gradients.addcmul_(weights, decay)
    buffer.mul_(momentum).add_(gradients)
    gradients.mul_(of_gradient).addcmul_(buffer, of_buffer)
    weights.addcmul_(gradients, rate, value=-1)


def adamw_numbers(group: Mapping[str, Any]) -> tuple[float, ...]:
    """Rate, what is left of the weights, epsilon; of each beta itself, what it lacks to 1, its logarithm."""
    rate, betas = group["lr"], group["betas"]
    of_betas = [number for beta in betas for number in (beta, 1 - beta, math.log(beta))]
    return rate, 1 - rate * group["weight_decay"], group["eps"], *of_betas


def adamw_step(
    weights: Tensor, gradients: Tensor, states: State, numbers: tuple[Tensor, ...], counts: Tensor
) -> None:
    """AdamW (Loshchilov and Hutter 2019)."""
    rate, left, epsilon, _, new, log_first, second, new_square, log_second = numbers
    mean, square = states["exp_avg"], states["exp_avg_sq"]
    mean.lerp_(gradients, new)
    square.mul_(second).addcmul_(gradients.mul_(gradients), new_square)
    torch.sqrt(square, out=gradients)
    # 1 - beta ** count, which float32 would round badly
    gradients.mul_(torch.expm1(counts * log_second).neg_().rsqrt_()).add_(epsilon)
    torch.div(mean, gradients, out=gradients)
    weights.mul_(left).addcmul_(gradients, rate / torch.expm1(counts * log_first))


def clip(gradients: Tensor, norms: list[float]) -> None:
    """Scale rows of gradients down, in place, to the norms that they may have at most; 0 does not clip."""
    if any(norms):
        most = gradients.new_tensor([norm or math.inf for norm in norms]).unsqueeze(1)
        gradients.mul_((most / (gradients.norm(dim=1, keepdim=True) + 1e-6)).clamp_(max=1.0))


RULES: Final[Mapping[type[torch.optim.Optimizer], Rule]] = {
    SGD: Rule(
        ("momentum_buffer",), sgd_numbers, sgd_step, {"dampening": 0, "maximize": False}
    ),
    AdamW: Rule(
        ("exp_avg", "exp_avg_sq"), adamw_numbers, adamw_step, {"amsgrad": False, "maximize": False}
    ),
}  # fmt: skip
