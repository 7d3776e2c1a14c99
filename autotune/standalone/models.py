"""Small models for who has none at hand: images, tables, and texts as token ids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from autotune.data import Dataset
from autotune.data.columns import Array, is_unloaded
from autotune.errors import ConfigurationError
from autotune.events import Config
from autotune.standalone.features import vocabulary

SIDE = 7  # of the last feature map of an image, at most
WIDTH = 64


def default_model(data: Dataset, rows: Array) -> tuple[Callable[[Config], nn.Module], str]:
    """A factory of a model for this data, and what it makes in words.

    Args:
        data: Images (n, channels, height, width), numbers (n, features), or token ids (n, length).
        rows: Ids of the samples that scaling may look at.

    Raises:
        ConfigurationError: When inputs of such a shape need a model of the user's.
    """
    shape, out = data.inputs.shape[1:], outputs(data)
    if len(shape) == 3 and min(shape[1:]) >= 4:
        return lambda config: _network(shape, out), "a small convolutional network"
    if is_unloaded(data.inputs):
        raise ConfigurationError(
            "default models for tables and texts look at all inputs, and these stay in their shards; name a "
            "function of your own that makes one (--model)"
        )
    if len(shape) == 1 and data.inputs.dtype.kind == "i":
        size = vocabulary(data.inputs)
        return lambda config: _Bag(size, out), "a bag of word embeddings"
    if len(shape) == 1:
        seen = data.inputs[rows]
        mean, deviation = seen.mean(0, dtype=np.float64), seen.std(0, dtype=np.float64)
        scale = np.divide(1.0, deviation, out=np.zeros_like(mean), where=deviation > 1e-12)
        return lambda config: _perceptron(_Scaling(mean, scale), len(mean), out), "a small perceptron"
    raise ConfigurationError(
        f"there is no default model for inputs of shape {shape}; name a function of your own that makes one "
        "(--model)"
    )


def outputs(data: Dataset) -> int:
    """How many numbers a model must give per sample.

    Raises:
        ConfigurationError: When the data has no targets.
    """
    if data.kind == "classification":
        return data.classes
    if data.kind == "regression":
        return int(np.prod(data.targets.shape[1:]))
    raise ConfigurationError(
        "a model cannot be trained on data without targets; name their column with --target"
    )


def _network(shape: tuple[int, ...], out: int) -> nn.Module:
    side = (min(SIDE, shape[1] // 4), min(SIDE, shape[2] // 4))
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(side),
        nn.Flatten(),
        nn.Linear(32 * side[0] * side[1], WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, out),
    )


def _perceptron(scaling: nn.Module, features: int, out: int) -> nn.Module:
    hidden = nn.Sequential(nn.Linear(features, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH), nn.ReLU())
    return nn.Sequential(scaling, hidden, nn.Linear(WIDTH, out))


class _Scaling(nn.Module):
    """Shift and scale each feature."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Array, scale: Array) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("scale", torch.from_numpy(scale).float())

    def forward(self, inputs: Tensor) -> Tensor:
        """Standardised inputs."""
        return (inputs - self.mean) * self.scale


class _Bag(nn.Module):
    """The mean of the embeddings of a text's words."""

    def __init__(self, vocabulary: int, out: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(vocabulary, WIDTH, mode="mean", padding_idx=0)
        self.head = nn.Linear(WIDTH, out)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs for token ids; 0 is padding."""
        found: Tensor = self.head(self.words(inputs))
        return found
