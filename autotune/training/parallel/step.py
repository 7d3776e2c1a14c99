"""A training step that several ranks make together: the same as one process would make."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from autotune.errors import TrialError
from autotune.seeds import derive
from autotune.training.parallel.normalisation import normalising_together
from autotune.training.parallel.ranks import Ranks
from autotune.training.randomness import GlobalGenerators, scope
from autotune.training.step import Step, Steps, T, alone, made


def together(steps: Steps[T], ranks: Ranks) -> T:
    """Make every step with the other ranks, when it is wanted; the result."""
    if ranks.size == 1:
        return alone(steps)
    return made(steps, lambda step: make(step, ranks))


def make(step: Step, ranks: Ranks) -> Tensor:
    """Make a step of which each rank computes its rows; the losses of all samples before it, shape (b,).

    The loss is the sum of w_i l_i over the *whole* batch, divided by its size, whoever has how many rows: the
    gradients of the ranks add up to that of one process. They are added in one message, together with the
    losses, after the backward pass; every rank then takes the same step.

    Random numbers within the model differ from rank to rank, and depend on how many there are.

    Raises:
        TrialError: When there are fewer samples than ranks, or gradients are sparse.
    """
    batch, size = step.batch, len(step.batch)
    if size < ranks.size:
        raise TrialError(
            f"a batch of {size} cannot be shared by processes={ranks.size}; raise batch_size, or the fraction"
        )
    mine = batch.rows(ranks.rows(size))
    device = batch.inputs.device
    number = int(torch.randint(2**62, ()))  # the same on every rank: their own generators are in one state
    step.optimizer.zero_grad()
    with scope(device), normalising_together(step.model, ranks):
        GlobalGenerators(device).seed(derive(number, "rank", ranks.rank))
        losses = step.task.losses(step.model, mine, step.smoothing)
        torch.autograd.backward(torch.dot(losses.to(mine.weights.dtype), mine.weights) / size)
    parameters = [parameter for parameter in step.model.parameters() if parameter.requires_grad]
    used = ranks.any(*(parameter.grad is not None for parameter in parameters))
    gradients = [_gradient(p) for p, by_some in zip(parameters, used, strict=True) if by_some]
    whole = losses.new_zeros(size, requires_grad=False)
    whole[ranks.rows(size)] = losses.detach()
    ranks.add([*gradients, whole])
    if step.clip > 0:
        clip_grad_norm_(step.model.parameters(), step.clip)
    step.optimizer.step()
    return whole


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient of this rank's rows; zero where they do not use the parameter and those of others do."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    if parameter.grad.is_sparse:
        raise TrialError("sparse gradients cannot be shared by processes; build embeddings without sparse=")
    return parameter.grad
