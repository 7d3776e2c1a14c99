"""Models of the same shape in one matrix: a row of weights for each, and the losses of all in one pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from autotune.task import Batch, ModelTask
from autotune.training.step import Step
from autotune.training.vectorised.update import clip, rule_of

Views: TypeAlias = Callable[[Tensor, Step], list[Tensor]]  # of a row, in the shapes of a model's parameters


class Shape(nn.Module):
    """What models have in common that are stacked, as a function of their weights.

    Args:
        task: Whose losses are made small.
        model: One of them; a copy of it computes for all.
        smoothing: Of the labels.
    """

    def __init__(self, task: ModelTask, model: nn.Module, smoothing: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self._task, self._smoothing = task, smoothing
        named = dict(self.named_parameters())
        self._names, self._shapes = list(named), [parameter.shape for parameter in named.values()]
        self.sizes = [parameter.numel() for parameter in named.values()]

    def forward(self, batch: Batch) -> Tensor:
        """Per-sample losses of one model."""
        return self._task.losses(self.model, batch, self._smoothing)

    def gradients(
        self, weights: Tensor, steps: Sequence[Step], padding: int = 0
    ) -> tuple[list[Tensor], Tensor]:
        """Per-sample losses of each step, and the gradients of their means; changes nothing.

        The forward pass is one of `torch.func.vmap`; the losses of a row do not depend on another row's
        weights, so the gradient of their sum is that of each.

        Args:
            weights: A row for each step, shape (rows, weights).
            steps: In the order of the rows.
            padding: Samples of weight 0 that are added even to the largest batch.

        Returns:
            Losses, shape (b,) of each step's own batch, and gradients, shape (rows, weights).

        Raises:
            Exception: Where the model or its losses cannot be computed for many at once.
        """
        batch, shares = stacked([step.batch for step in steps], padding)
        leaf = weights.detach().requires_grad_()
        parts = leaf.split_with_sizes(self.sizes, dim=1)
        rows = len(steps)
        named = {
            name: part.view(rows, *shape)
            for name, part, shape in zip(self._names, parts, self._shapes, strict=True)
        }
        losses = vmap(self._of_row)(named, batch.ids, batch.inputs, batch.targets, batch.weights)
        if losses.shape != shares.shape:
            raise ValueError(f"losses must have shape {tuple(shares.shape)}, got {tuple(losses.shape)}")
        (gradients,) = torch.autograd.grad((losses * shares).sum(), leaf)
        clip(gradients, [step.clip for step in steps])
        own = losses.detach()
        return [row[: len(step.batch)] for row, step in zip(own, steps, strict=True)], gradients

    def _of_row(
        self, named: dict[str, Tensor], ids: Tensor, inputs: Tensor, targets: Tensor, weights: Tensor
    ) -> Tensor:
        losses: Tensor = functional_call(self, named, (Batch(ids, inputs, targets, weights),))
        return losses


class Stack:
    """The weights and optimizer states of several trials, which from now on are rows of this.

    Every trial keeps its model and its optimizer; their tensors become views into the rows, so that whoever
    reads or writes them (signals, evaluation, checkpoints, a step made alone) need not know.

    Args:
        shape: Of the models.
        steps: One of each trial, made before by its own optimizer, which so has all its states.
    """

    def __init__(self, shape: Shape, steps: Sequence[Step]) -> None:
        self._shape = shape
        names = [type(step.optimizer).__name__ for step in steps]
        self._order = sorted(range(len(steps)), key=names.__getitem__)
        ordered = self._sorted(steps)
        self._weights = torch.stack([flat(step.model) for step in ordered])
        for row, step in zip(self._weights, ordered, strict=True):
            for parameter, view in zip(step.model.parameters(), self._views(row, step), strict=True):
                parameter.data = view
            step.optimizer.zero_grad()
        self._bands: list[_Band] = []
        start = 0
        for _, same in groupby(ordered, lambda step: type(step.optimizer)):
            members = list(same)
            self._bands.append(_Band(slice(start, start + len(members)), members, self._views))
            start += len(members)

    def gradients(self, steps: Sequence[Step]) -> tuple[list[Tensor], Tensor]:
        """Per-sample losses of one step of every trial, in the order given, and what `update` takes.

        Raises:
            Exception: Where that cannot be computed; nothing was changed.
        """
        losses, gradients = self._shape.gradients(self._weights, self._sorted(steps))
        own = sorted(zip(self._order, losses, strict=True), key=lambda pair: pair[0])
        return [values for _, values in own], gradients

    def update(self, steps: Sequence[Step], gradients: Tensor) -> None:
        """Make the steps, in place, with each optimizer's settings of now; the gradients are used up."""
        ordered = self._sorted(steps)
        with torch.no_grad():
            for band in self._bands:
                band.step(self._weights[band.rows], gradients[band.rows], ordered[band.rows])

    def _sorted(self, steps: Sequence[Step]) -> list[Step]:
        """Those of the same optimizer beside each other."""
        return [steps[index] for index in self._order]

    def _views(self, row: Tensor, step: Step) -> list[Tensor]:
        parts = row.split_with_sizes(self._shape.sizes)
        return [part.view_as(p) for part, p in zip(parts, step.model.parameters(), strict=True)]


class _Band:
    """Neighbouring rows that are stepped by the same rule."""

    def __init__(self, rows: slice, steps: Sequence[Step], views: Views) -> None:
        self.rows = rows
        rule = rule_of(steps[0].optimizer)
        if rule is None:
            raise TypeError(f"there is no rule for {type(steps[0].optimizer).__name__}")
        self._rule = rule
        self._states: dict[str, Tensor] = {}
        states = [[step.optimizer.state[p] for p in step.model.parameters()] for step in steps]
        weights = sum(parameter.numel() for parameter in steps[0].model.parameters())
        like = next(steps[0].model.parameters())
        for name in rule.states:
            matrix = self._states[name] = like.new_zeros(len(steps), weights)
            for row, step, each in zip(matrix, steps, states, strict=True):
                for own, view in zip(each, views(row, step), strict=True):
                    if own.get(name) is not None:  # SGD without momentum keeps nothing
                        own[name] = view.copy_(own[name])
        self._counters = like.new_zeros(len(steps), len(states[0]))
        for row, each in zip(self._counters, states, strict=True):
            for own, view in zip(each, row, strict=True):
                if "step" in own:
                    own["step"] = view.copy_(own["step"])

    def step(self, weights: Tensor, gradients: Tensor, steps: Sequence[Step]) -> None:
        """Make it."""
        self._counters.add_(1)
        numbers = [self._rule.numbers(step.optimizer.param_groups[0]) for step in steps]
        columns = weights.new_tensor(numbers).t().unsqueeze(2).unbind()
        self._rule.step(weights, gradients, self._states, columns, self._counters[:, :1])


def flat(model: nn.Module) -> Tensor:
    """All parameters of a model in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def stacked(batches: Sequence[Batch], padding: int = 0) -> tuple[Batch, Tensor]:
    """Batches as rows of equal length, each filled up with its own last sample at weight 0.

    Returns:
        The batches, each tensor with a first dimension more, and each sample's share in its batch's loss,
        shape (rows, b).
    """
    lengths = [len(batch) for batch in batches]
    device, longest = batches[0].ids.device, max(lengths) + padding
    sizes = torch.tensor(lengths, device=device).unsqueeze(1)
    places = torch.arange(longest, device=device).expand(len(batches), -1)
    source = None  # of each place, among the samples of all batches
    if min(lengths) < longest:
        source = (places.minimum(sizes - 1) + sizes.cumsum(0) - sizes).flatten()

    def rows(values: list[Tensor]) -> Tensor:
        whole = torch.cat(values)
        whole = whole if source is None else whole.index_select(0, source)
        return whole.view(len(batches), longest, *whole.shape[1:])

    weights = rows([batch.weights for batch in batches]) * (places < sizes)
    ids, inputs, targets = (
        rows([getattr(b, name) for b in batches]) for name in ("ids", "inputs", "targets")
    )
    return Batch(ids, inputs, targets, weights), weights / sizes
