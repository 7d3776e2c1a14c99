"""The demo: settings and data policy searched together on scikit-learn's digits, on Ray.

    python -m examples.digits --path runs/demo

Nothing is downloaded. Interrupt it and run it again: it continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

import autotune as at
from autotune.data.digits import digits
from autotune.report.console import Console
from autotune.report.words import summary
from autotune.search_spaces.optimizers import sgd_or_adamw
from autotune.search_spaces.policies import policies


def model(config: Mapping[str, Any]) -> nn.Module:
    """A small convolutional network for 8 x 8 images."""
    width = int(config["width"])
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(config["dropout"]),
        nn.Linear(16 * width, 10),
    )


def task() -> at.Task:
    """Classify the digits."""
    return at.Classification(data=digits(), model=model)


def space() -> at.SearchSpace:
    """Optimizer and its rate, batch size, width, dropout, and the data policy."""
    return at.SearchSpace(
        {
            "optimizer": sgd_or_adamw(),
            "batch_size": at.Choice([16, 32, 64]),
            "width": at.Int(8, 32, log=True),
            "dropout": at.Float(0.0, 0.5),
            "schedule": "cosine",
            "policy": policies(),
        }
    )


def plan(trials: int = 36, seeds: int = 3) -> at.Plan:
    """Three seeds detect differences of about two points here; the default of five detects smaller ones."""
    return at.Plan(
        at.Budget(trials=trials),
        scheduler=at.AdaptiveASHA(horizon=9.0, lowest=1.0),
        confirm=at.Confirm(leaders=2, seeds=seeds, margin=0.01),
    )


def main() -> None:
    """Run the study, print what it found, and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, default=Path("runs/demo"), help="the study's folder")
    parser.add_argument("--engine", default="ray", choices=["ray", "inprocess"])
    parser.add_argument("--trials", type=int, default=36)
    parser.add_argument("--seeds", type=int, default=3, help="paired repetitions that confirm the winner")
    arguments = parser.parse_args()
    study = at.Study(
        task(), space(), arguments.path, plan(arguments.trials, arguments.seeds), arguments.engine
    )
    with Console() as console:
        result = study.run(observe=console)
    print(summary(result.path))
    print(f"report: {result.path / 'result' / 'report.html'}")


if __name__ == "__main__":
    main()
