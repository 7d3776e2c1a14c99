"""Labels that training found hard to believe: margins, losses and self-influence over all passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.data.columns import Array
from autotune.errors import SelectorError
from autotune.events import Config
from autotune.task import Batch, Classification, ModelTask
from autotune.training.collect import find_head
from autotune.training.settings import Settings
from autotune.training.tracks import margins

FENCE: Final = 3.0  # interquartile ranges above the upper quartile, where Tukey calls a value far out


@final
@dataclass(frozen=True)
class Mislabels:
    """What training said of each sample, in the order of their ids.

    Attributes:
        margin: Area under the margin: target logit less the largest other one, averaged over training
            passes, shape (n,); NaN for regression.
        loss: Training loss, averaged over passes, shape (n,).
        influence: Self-influence: squared norm of the gradient by the last layer's weights, summed over
            passes, shape (n,); NaN where the model has no linear layer.
        rival: The other class that the model preferred when it last saw the sample, shape (n,); -1 for
            regression.
        score: What ranks: the negative margin, for regression the loss, shape (n,); higher is likelier wrong.
        suspect: The samples to look at, shape (n,): margin below 0, that is another class preferred on
            average; for regression a loss that is far out.
    """

    margin: Array
    loss: Array
    influence: Array
    rival: Array
    score: Array
    suspect: Array

    def ranking(self) -> Array:
        """Positions from the likeliest wrong to the least, ties by position."""
        return np.argsort(-self.score, kind="stable")


class Tally:
    """Sums over the training passes of a model, which cost it nothing but a look at its outputs.

    References: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking",
    NeurIPS 2020; Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent", NeurIPS
    2020, section 4.1 (self-influence, here of the last layer).

    Args:
        n: Rows of the data.
    """

    def __init__(self, n: int) -> None:
        self._seen = torch.zeros(n)
        self._sums = {name: torch.zeros(n, dtype=torch.double) for name in ("margin", "loss", "influence")}
        self._rival = torch.full((n,), -1)
        self._entered: Tensor | None = None

    def watch(self, task: ModelTask, config: Config) -> ModelTask:
        """The same task, whose training passes are counted here."""
        smoothing = Settings.from_config(config).label_smoothing

        def model(given: Config) -> nn.Module:
            made = task.model(given)
            try:
                find_head(made, task.head).register_forward_pre_hook(self._enter)
            except SelectorError:  # no linear layer: no self-influence
                self._sums["influence"][:] = torch.nan
            return made

        def loss(network: nn.Module, batch: Batch) -> Tensor:
            outputs = network(batch.inputs)
            losses = task.default_losses(outputs, batch.targets, smoothing)
            if network.training:
                of_classes = isinstance(task, Classification)
                self._add(batch, outputs.detach(), losses.detach(), of_classes)
            return losses

        return replace(task, model=model, loss=loss)

    def found(self, ids: Array, of_classes: bool) -> Mislabels:
        """What was seen of these samples."""
        rows = torch.from_numpy(ids)
        seen = self._seen[rows].clamp_min(1)
        margin, loss = ((self._sums[name][rows] / seen).numpy() for name in ("margin", "loss"))
        influence = self._sums["influence"][rows].numpy()
        score = -margin if of_classes else loss
        suspect = margin < 0 if of_classes else loss > _fence(loss)
        if not of_classes:
            margin = np.full_like(margin, np.nan)
        return Mislabels(margin, loss, influence, self._rival[rows].numpy(), score, suspect)

    def _enter(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        self._entered = given[0].detach()

    def _add(self, batch: Batch, outputs: Tensor, losses: Tensor, of_classes: bool) -> None:
        ids = batch.ids.cpu()
        self._seen[ids] += 1
        self._count("loss", ids, losses)
        if of_classes:
            self._count("margin", ids, margins(outputs, batch.targets))
            others = outputs.scatter(1, batch.targets.unsqueeze(1), -torch.inf)
            self._rival[ids] = others.argmax(1).cpu()
            errors = outputs.softmax(1) - F.one_hot(batch.targets, outputs.shape[1])
        else:
            errors = 2 * (outputs.reshape(batch.targets.shape) - batch.targets).flatten(1)
        if self._entered is not None and self._entered.dim() == 2:
            norms = errors.square().sum(1) * (self._entered.square().sum(1) + 1)
            self._count("influence", ids, norms)

    def _count(self, name: str, ids: Tensor, values: Tensor) -> None:
        self._sums[name][ids] += values.double().cpu()


def _fence(values: Array) -> float:
    lower, upper = np.quantile(values, [0.25, 0.75])
    return float(upper + FENCE * (upper - lower))
