"""The tasks on which whole searches are compared: what is trained, what is searched, and how long."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

import autotune as at
from autotune.data.scaling import standardise
from autotune.data.sources import open_dataset
from autotune.space import Dimension
from benchmarks.wrong_labels import mislabelled
from examples import fashion_mnist

SETTINGS: Final[Mapping[str, Dimension]] = {
    "optimizer": at.Choice({"sgd": fashion_mnist.SGD, "adamw": fashion_mnist.ADAMW}),
    "batch_size": at.Choice([32, 64, 128, 256]),
    "dropout": at.Float(0.0, 0.5),
}
VOCABULARY: Final = 1 << 13


class TextCNN(nn.Module):
    """Words, a convolution over three of them, the strongest answer of each filter.

    Args:
        width: Of embeddings and filters.
        dropout: Before the last layer.
        classes: Number of classes.
    """

    def __init__(self, width: int, dropout: float, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.convolution = nn.Conv1d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits, shape (b, classes), of token ids, shape (b, length)."""
        heard: Tensor = self.convolution(self.words(ids).transpose(1, 2)).relu().amax(2)
        logits: Tensor = self.head(self.dropout(heard))
        return logits


@dataclass(frozen=True)
class Table:
    """Builds two hidden layers for rows of numbers.

    Attributes:
        features: Numbers per row.
        classes: Number of classes.
    """

    features: int
    classes: int

    def __call__(self, config: Mapping[str, Any]) -> nn.Module:
        """An untrained network."""
        width, drop = int(config["width"]), float(config["dropout"])
        return nn.Sequential(
            *(nn.Linear(self.features, width), nn.ReLU(), nn.Dropout(drop)),
            *(nn.Linear(width, width), nn.ReLU(), nn.Dropout(drop)),
            nn.Linear(width, self.classes),
        )


@dataclass(frozen=True)
class Text:
    """Builds a `TextCNN`.

    Attributes:
        classes: Number of classes.
    """

    classes: int

    def __call__(self, config: Mapping[str, Any]) -> nn.Module:
        """An untrained network."""
        return TextCNN(int(config["width"]), float(config["dropout"]), self.classes)


Build = Callable[[at.Dataset, at.Splits], at.Classification]


@dataclass(frozen=True)
class Recipe:
    """One task.

    Attributes:
        folder: Below the data directory.
        build: What is to be learned.
        settings: What every system searches, a cosine schedule besides.
        horizon: Epochs of full training.
        target: Column to predict, where the format does not say.
        wrong: Share of the training labels that are wrong; all other splits are clean.
        pairs: Whether each class is taken for the next one then, or for any other.
    """

    folder: str
    build: Build
    settings: Mapping[str, Dimension] = field(repr=False)
    horizon: int
    target: str | None = None
    wrong: float = 0.0
    pairs: bool = False

    def load(self, data_dir: Path) -> tuple[at.Classification, at.Splits]:
        """The task on its data, and the splits that all systems share."""
        data = open_dataset(str(data_dir / self.folder), target=self.target)
        splits = at.Splits.make(data, seed=0)
        if self.wrong:
            data, _ = mislabelled(data, splits.train, self.wrong, seed=0, pairs=self.pairs)
        return self.build(data, splits), splits

    def space(self, **policy: Any) -> at.SearchSpace:
        """The settings, and what is searched besides."""
        return at.SearchSpace({**self.settings, "schedule": "cosine", **policy})


def _images(data: at.Dataset, splits: at.Splits) -> at.Classification:
    return fashion_mnist.task(data)


def _table(data: at.Dataset, splits: at.Splits) -> at.Classification:
    model = Table(data.inputs.shape[1], data.classes)
    return at.Classification(data=standardise(data, splits.train), model=model)


def _text(data: at.Dataset, splits: at.Splits) -> at.Classification:
    return at.Classification(data=data, model=Text(data.classes))


def _any(data: at.Dataset, splits: at.Splits) -> at.Classification:
    """By the shape of a sample: an image, token ids, or a row of numbers."""
    if data.inputs.ndim == 4:
        return _images(data, splits)
    return _text(data, splits) if data.inputs.dtype.kind in "iu" else _table(data, splits)


_FASHION: Final = Recipe("fashion-mnist", _images, fashion_mnist.settings(), 9)
RECIPES: Final[Mapping[str, Recipe]] = {
    "letter": Recipe("tabular/letter", _table, {**SETTINGS, "width": at.Int(64, 256, log=True)}, 27, "lettr"),
    "adult": Recipe("tabular/adult", _table, {**SETTINGS, "width": at.Int(32, 128, log=True)}, 9),
    "trec": Recipe("text/trec", _text, {**SETTINGS, "width": at.Int(32, 128, log=True)}, 27),
    "fashion-mnist": _FASHION,
    "fashion-mnist, pair flips": dataclasses.replace(_FASHION, wrong=0.4, pairs=True),
    "fashion-mnist, any wrong": dataclasses.replace(_FASHION, wrong=0.4),
}


def recipe(name: str) -> Recipe:
    """One of `RECIPES`; else of any data below the data directory, `FOLDER` or `FOLDER:COLUMN` to predict."""
    if name in RECIPES:
        return RECIPES[name]
    folder, _, target = name.partition(":")
    settings = {**SETTINGS, "width": at.Int(16, 128, log=True)}
    return Recipe(folder, _any, settings, 9, target or None)
