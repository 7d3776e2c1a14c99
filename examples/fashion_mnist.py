"""Fashion-MNIST: a small CNN, its settings and its data policy, on all 60,000 images.

    python -m examples.fashion_mnist --data-dir ../shared/data/fashion-mnist

`benchmarks.against_stock` runs this study beside stock Ray Tune.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

import autotune as at
from autotune.report.console import Console
from autotune.report.page import write_page
from autotune.report.words import summary
from autotune.search_spaces.policies import policies

SGD = {
    "lr": at.Float(3e-3, 0.3, log=True),
    "momentum": at.Float(0.8, 0.99),
    "weight_decay": at.Float(1e-6, 1e-2, log=True),
}
ADAMW = {"lr": at.Float(1e-4, 1e-2, log=True), "weight_decay": at.Float(1e-4, 0.3, log=True)}


def model(config: Mapping[str, Any]) -> nn.Module:
    """Two convolutions and a hidden layer; `width` scales all of them."""
    width = int(config["width"])
    return nn.Sequential(
        nn.LazyConv2d(width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.LazyConv2d(2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LazyLinear(4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 10),
    )


def settings() -> dict[str, Any]:
    """What stock Ray Tune searches too."""
    return {
        "optimizer": at.Choice({"sgd": SGD, "adamw": ADAMW}),
        "batch_size": at.Choice([32, 64, 128, 256]),
        "width": at.Int(8, 24, log=True),
    }


def space() -> at.SearchSpace:
    """The settings, a schedule, and the data policy."""
    return at.SearchSpace({**settings(), "schedule": "cosine", "policy": policies()})


def plan(epochs: float, horizon: float, seeds: int, seed: int = 0) -> at.Plan:
    """A search of `epochs` reference epoch-equivalents; full training is `horizon` of a trial's own."""
    return at.Plan(
        at.Budget(epochs=epochs),
        scheduler=at.ASHA(horizon=horizon, lowest=horizon / 27),
        confirm=at.Confirm(leaders=2, seeds=seeds, margin=0.003),
        seed=seed,
    )


def main() -> None:
    """Run the study, print what it found, and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument("--path", type=Path, default=Path("runs/fashion-mnist"))
    parser.add_argument(
        "--epochs", type=float, default=12.0, help="search budget, reference epoch-equivalents"
    )
    parser.add_argument("--horizon", type=float, default=3.0, help="full training, epoch-equivalents")
    parser.add_argument("--seeds", type=int, default=5, help="paired repetitions that confirm the winner")
    parser.add_argument("--engine", default="ray", choices=["ray", "inprocess"])
    arguments = parser.parse_args()
    task = at.Classification(data=at.Dataset.from_idx(arguments.data_dir), model=model)
    search = plan(arguments.epochs, arguments.horizon, arguments.seeds)
    with Console() as console:
        result = at.Study(task, space(), arguments.path, search, arguments.engine).run(observe=console)
    page = write_page(result.path)
    print(summary(result.path))
    print(f"report: {page}")


if __name__ == "__main__":
    main()
