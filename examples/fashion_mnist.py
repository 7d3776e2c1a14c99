"""Fashion-MNIST: a small CNN, its settings and its data policy, on all 60,000 images.

    python -m examples.fashion_mnist --data-dir ../shared/data/fashion-mnist

`benchmarks.against_stock` runs this study beside stock Ray Tune.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

import autotune as at
from autotune.report.console import Console
from autotune.report.words import summary
from autotune.search_spaces.policies import policies

SGD = {
    "lr": at.Float(3e-3, 0.3, log=True),
    "momentum": at.Float(0.8, 0.99),
    "weight_decay": at.Float(1e-6, 1e-2, log=True),
}
ADAMW = {"lr": at.Float(1e-4, 1e-2, log=True), "weight_decay": at.Float(1e-4, 0.3, log=True)}


@dataclass(frozen=True)
class SmallCNN:
    """Builds two convolutions and a hidden layer for images of one shape; `width` scales all of them.

    Attributes:
        shape: Channels, height and width of an image.
        classes: Number of classes.
    """

    shape: tuple[int, int, int]
    classes: int

    def __call__(self, config: Mapping[str, Any]) -> nn.Module:
        """An untrained network."""
        width = int(config["width"])
        channels, height, breadth = self.shape
        return nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (breadth // 4), 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, self.classes),
        )


def task(data: at.Dataset) -> at.Classification:
    """Classify images."""
    channels, height, breadth = data.inputs.shape[1:]
    return at.Classification(data=data, model=SmallCNN((channels, height, breadth), data.classes))


def settings() -> dict[str, Any]:
    """What stock Ray Tune searches too."""
    return {
        "optimizer": at.Choice({"sgd": SGD, "adamw": ADAMW}),
        "batch_size": at.Choice([32, 64, 128, 256]),
        "width": at.Int(8, 24, log=True),
    }


def space() -> at.SearchSpace:
    """The settings, a schedule, and the data policy, with its finer points fixed: the budget is small."""
    policy = policies(pool=0.2, interval=0.1)
    return at.SearchSpace({**settings(), "schedule": "cosine", "policy": policy})


def plan(epochs: float, horizon: float, seeds: int, seed: int = 0) -> at.Plan:
    """A search of `epochs` reference epoch-equivalents; full training is `horizon` of a trial's own."""
    return at.Plan(
        at.Budget(epochs=epochs),
        searcher=at.FairStart(settle=8),
        scheduler=at.ASHA(horizon=horizon, lowest=horizon / 27),
        confirm=at.Confirm(leaders=4, seeds=seeds, margin=0.003),
        seed=seed,
    )


def main() -> None:
    """Run the study, print what it found, and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument("--path", type=Path, default=Path("runs/fashion-mnist"))
    parser.add_argument(
        "--epochs", type=float, default=50.0, help="search budget, reference epoch-equivalents"
    )
    parser.add_argument("--horizon", type=float, default=3.0, help="full training, epoch-equivalents")
    parser.add_argument("--seeds", type=int, default=5, help="paired repetitions that confirm the winner")
    parser.add_argument("--engine", default="ray", choices=["ray", "inprocess"])
    arguments = parser.parse_args()
    data = at.Dataset.from_idx(arguments.data_dir)
    search = plan(arguments.epochs, arguments.horizon, arguments.seeds)
    with Console() as console:
        result = at.Study(task(data), space(), arguments.path, search, arguments.engine).run(observe=console)
    print(summary(result.path))
    print(f"report: {result.path / 'result' / 'report.html'}")


if __name__ == "__main__":
    main()
