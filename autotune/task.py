"""What is to be learned: data, model, loss and metric, as the user gives them.

A task never trains. `autotune.training` asks it for a model, for per-sample losses and for metrics; every
`nn.Module` works, and no special method is asked of it.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.data import Dataset, Splits
from autotune.errors import ConfigurationError, DataError, MissingMetricError, unknown

if TYPE_CHECKING:  # the layer above; needed for the type of an own loop only
    from autotune.training.session import Session

Config: TypeAlias = Mapping[str, Any]
ModelFactory: TypeAlias = Callable[[Config], nn.Module]

MAX: Final = "max"
MIN: Final = "min"


@dataclass(frozen=True)
class Batch:
    """Samples to compute with, on the trial's device.

    Attributes:
        ids: Sample ids, shape (b,).
        inputs: Prepared inputs, shape (b, ...).
        targets: Class ids or regression targets, shape (b, ...); (b, 0) for unlabelled data.
        weights: Importance weights, mean about 1, shape (b,), float32.
    """

    ids: Tensor
    inputs: Tensor
    targets: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, which: slice) -> Batch:
        """Some of the samples."""
        return Batch(self.ids[which], self.inputs[which], self.targets[which], self.weights[which])


LossFunction: TypeAlias = Callable[[nn.Module, Batch], Tensor]


class Task(ABC):
    """What every task has, whoever writes its training loop.

    Attributes:
        data: All samples; the splits share them.
        metric: The metric that ranks trials.
        splits: The user's own splits; None lets the study make them.
        encoder: A trained module that gives the features of prepared inputs; None where there is none.
    """

    data: Dataset
    metric: str
    splits: Splits | None
    encoder: nn.Module | None = None

    @property
    @abstractmethod
    def mode(self) -> str:
        """The direction of optimisation: `max` or `min`."""

    def score(self, metrics: Mapping[str, float]) -> float:
        """The metric as a score: higher is better, whatever its mode.

        Raises:
            MissingMetricError: When the metric was not reported.
        """
        if self.metric not in metrics:
            raise MissingMetricError(f"report lacks the score; {unknown('metric', self.metric, metrics)}")
        value = float(metrics[self.metric])
        return value if self.mode == MAX else -value

    def prepare(self, inputs: Tensor) -> Tensor:
        """Raw inputs of a batch as a model takes them: see `prepare_inputs`."""
        return prepare_inputs(inputs)

    def without_data(self) -> Self:
        """A copy to send to workers, who share one copy of the data instead."""
        return self._carrying(None)

    def with_data(self, data: Dataset) -> Self:
        """A copy that reads `data`."""
        return self._carrying(data)

    def _carrying(self, data: Dataset | None) -> Self:
        other = copy.copy(self)
        object.__setattr__(other, "data", data)
        return other


@dataclass(frozen=True)
class ModelTask(Task):
    """A task that our own loop trains: a model factory and a per-sample loss.

    Attributes:
        data: All samples.
        model: Builds an untrained model from a configuration.
        loss: Per-sample losses of shape (b,) instead of the default; `(model, batch) -> losses`.
        metric: The metric that ranks trials.
        head: Dotted name of the last linear layer, for signals; None takes the last `nn.Linear`.
        splits: The user's own splits; None lets the study make them.
        encoder: A trained module; its outputs for prepared inputs, flattened, are the features that selectors
            may read, computed once. None gives them the model's own embeddings instead.
    """

    data: Dataset
    model: ModelFactory
    loss: LossFunction | None = None
    metric: str = ""
    head: str | None = None
    splits: Splits | None = None
    encoder: nn.Module | None = None

    @abstractmethod
    def default_losses(self, outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Per-sample losses of the model's outputs, shape (b,)."""

    @abstractmethod
    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Every metric of a whole split, `metric` among them; the tensors are on the CPU."""

    def losses(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        """Per-sample losses, shape (b,); an own loss decides about label smoothing itself."""
        if self.loss is not None:
            return self.loss(model, batch)
        return self.default_losses(model(batch.inputs), batch.targets, smoothing)


@dataclass(frozen=True)
class Classification(ModelTask):
    """Class ids as targets, logits as outputs, cross-entropy by default.

    Metrics: `accuracy`, `balanced_accuracy` and `worst_class` (accuracy, its mean over classes and its
    minimum over them; the larger the better) and `log_loss` (the smaller the better).
    """

    metric: str = "accuracy"

    def __post_init__(self) -> None:
        known = ("accuracy", "balanced_accuracy", "log_loss", "worst_class")
        if type(self) is Classification and self.metric not in known:
            raise ConfigurationError(f"metric: {unknown('metric', str(self.metric), known)}")

    @property
    def mode(self) -> str:
        """`min` for the log loss, else `max`."""
        return MIN if self.metric == "log_loss" else MAX

    def default_losses(self, outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Cross-entropy of the logits."""
        return F.cross_entropy(outputs, targets, reduction="none", label_smoothing=smoothing)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Accuracy overall, over classes and in the worst class, and the log loss."""
        return classification_metrics(outputs, targets)


@dataclass(frozen=True)
class Regression(ModelTask):
    """Numbers as targets, squared error by default.

    Metrics: `rmse` and `mae` (the smaller the better), and `r2` (the larger the better).
    """

    metric: str = "rmse"

    def __post_init__(self) -> None:
        known = ("rmse", "mae", "r2")
        if type(self) is Regression and self.metric not in known:
            raise ConfigurationError(f"metric: {unknown('metric', str(self.metric), known)}")

    @property
    def mode(self) -> str:
        """`max` for r2, else `min`."""
        return MAX if self.metric == "r2" else MIN

    def default_losses(self, outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Squared error, averaged over a sample's outputs; `smoothing` has no meaning here."""
        errors = (matched(outputs, targets) - targets).square()
        return errors.flatten(1).mean(1) if errors.dim() > 1 else errors

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Root mean squared error, mean absolute error, and the share of variance explained."""
        return regression_metrics(outputs, targets)


@dataclass(frozen=True)
class CustomLoop(Task):
    """The user's own training loop.

    `train(session)` builds a model and an optimizer, hands them to `session.attach`, iterates over
    `session.loader`, and reports. It is called once for every rung that the trial is advanced to.

    Before a study begins, the loop is tried with configurations of every option: one step, an evaluation and
    a report on at most 256 samples of each split. What it raises for all of them, a report without the
    metric and a parameter of the space that it has not read by then are refused.

    Attributes:
        data: All samples.
        train: The loop.
        metric: The reported metric that ranks trials.
        mode: Whether it is to be large (`max`) or small (`min`).
        splits: The user's own splits; None lets the study make them.
        loss: Per-sample losses `(model, batch) -> losses` of shape (b,), for selectors that need fresh
            losses, last-layer errors or gradients; None where no such selector is searched.
        encoder: A trained module; its outputs for prepared inputs, flattened, are the features that selectors
            may read, computed once. None gives them the model's own embeddings instead.
    """

    data: Dataset
    train: Callable[[Session], None]
    metric: str = "accuracy"
    mode: str = MAX
    splits: Splits | None = None
    loss: LossFunction | None = None
    encoder: nn.Module | None = None

    def __post_init__(self) -> None:
        if self.mode not in (MAX, MIN):
            raise ConfigurationError(f"mode must be 'max' or 'min', got {self.mode!r}")


def prepare_inputs(inputs: Tensor) -> Tensor:
    """Bytes become floats in [0, 1], other floats float32, token ids stay int64."""
    if inputs.dtype == torch.uint8:
        return inputs.float().div_(255)
    if inputs.is_floating_point() or inputs.dtype == torch.bool:
        return inputs.float()
    return inputs.long()


def matched(outputs: Tensor, targets: Tensor) -> Tensor:
    """Regression outputs in the shape of their targets; (b, 1) and (b,) mean the same.

    Raises:
        DataError: When the shapes do not match otherwise; broadcasting would hide it.
    """
    if outputs.shape == targets.shape:
        return outputs
    if outputs.numel() != targets.numel() or len(outputs) != len(targets):
        raise DataError(
            f"the model's outputs must have the shape of the targets {tuple(targets.shape)}, "
            f"got {tuple(outputs.shape)}; change its last layer"
        )
    return outputs.reshape(targets.shape)


def classification_metrics(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Metrics of logits, shape (n, classes), against class ids, shape (n,); absent classes are left out."""
    right = (outputs.argmax(1) == targets).double()
    counts = torch.bincount(targets, minlength=outputs.shape[1])
    present = counts > 0
    hits = torch.zeros(len(counts), dtype=torch.double, device=right.device)
    per_class = hits.index_add_(0, targets, right)[present] / counts[present]
    sound = not bool((outputs.isnan() | (outputs == math.inf)).any())  # argmax would take them for an answer
    values = {
        "accuracy": right.mean().item(),
        "balanced_accuracy": per_class.mean().item(),
        "worst_class": per_class.min().item(),
        "log_loss": F.cross_entropy(outputs.double(), targets).item(),
    }
    return values if sound else dict.fromkeys(values, math.nan)


def regression_metrics(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Metrics of outputs against targets of the same shape, over all elements."""
    wanted = targets.double()
    errors = matched(outputs, targets).double() - wanted
    squared = errors.square().mean()
    variance = (wanted - wanted.mean(0)).square().mean()
    return {
        "rmse": squared.sqrt().item(),
        "mae": errors.abs().mean().item(),
        "r2": (1 - squared / variance).item(),
    }
