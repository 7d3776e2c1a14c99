"""One training step, as a value: a loop gives it away to be made alone, or together with those of others."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from autotune.task import Batch, ModelTask

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A step that is yet to be made.

    Attributes:
        task: Whose losses are made small.
        model: In training mode.
        optimizer: Of the model.
        batch: To learn from.
        smoothing: Of the labels, in [0, 1).
        clip: Largest norm of the whole gradient; 0 does not clip.
    """

    task: ModelTask
    model: nn.Module
    optimizer: torch.optim.Optimizer
    batch: Batch
    smoothing: float = 0.0
    clip: float = 0.0

    def make(self) -> Tensor:
        """Make it; per-sample losses before it, shape (b,)."""
        losses = self.task.losses(self.model, self.batch, self.smoothing)
        weights = self.batch.weights
        self.optimizer.zero_grad()
        torch.autograd.backward(torch.dot(losses.to(weights.dtype), weights) / len(self.batch))
        if self.clip > 0:
            clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return losses


Steps: TypeAlias = Generator[Step, Tensor, T]
"""Gives steps away, wants the per-sample losses of each, and ends with a result."""


def alone(steps: Steps[T]) -> T:
    """Make every step by itself, when it is wanted; the result."""
    return made(steps, Step.make)


def made(steps: Steps[T], make: Callable[[Step], Tensor]) -> T:
    """Make every step in some way, when it is wanted; the result.

    What a step raises is raised where it was given away.
    """
    try:
        step = next(steps)
        while True:
            try:
                losses = make(step)
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(losses)
    except StopIteration as end:
        result: T = end.value
        return result
