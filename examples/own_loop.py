"""A training loop of one's own, searched like any other: plain PyTorch between four calls of the session.

    python -m examples.own_loop --path runs/own-loop

`attach` puts back what the trial has learnt, `loader` follows the data policy and ends at the rung, `observe`
gives selectors their losses for free, `report` gives the score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import autotune as at
from autotune.data.digits import digits
from autotune.report.words import summary
from autotune.search_spaces.policies import policies


def train(session: at.Session) -> None:
    """Adversarially flavoured training: something no ready-made loop does."""
    width = session.config["width"]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)).to(
        session.device
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=session.config["lr"], momentum=0.9)
    session.attach(model, optimizer)
    for batch in session.loader(session.config["batch_size"]):
        inputs = batch.inputs + session.config["noise"] * torch.randn_like(batch.inputs)
        losses = F.cross_entropy(model(inputs), batch.targets, reduction="none")
        optimizer.zero_grad()
        (losses * batch.weights).mean().backward()
        optimizer.step()
        session.observe(batch.ids, losses)
    right = sum(int((model(batch.inputs).argmax(1) == batch.targets).sum()) for batch in session.evaluation())
    session.report(accuracy=right / session.evaluation_size)


def main() -> None:
    """Run the study and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, default=Path("runs/own-loop"))
    parser.add_argument("--engine", default="inprocess", choices=["ray", "inprocess"])
    parser.add_argument("--trials", type=int, default=12)
    arguments = parser.parse_args()
    task = at.CustomLoop(digits(), train, metric="accuracy", mode="max")
    space = at.SearchSpace(
        {
            "lr": at.Float(1e-3, 0.3, log=True),
            "batch_size": at.Choice([16, 32, 64]),
            "width": at.Int(16, 64, log=True),
            "noise": at.Float(0.0, 0.5),
            "policy": policies(["infobatch", "random"]),  # these need no signal beyond the observed losses
        }
    )
    plan = at.Plan(
        at.Budget(trials=arguments.trials),
        scheduler=at.AdaptiveASHA(horizon=6.0, lowest=0.6),
        confirm=at.Confirm(leaders=1, seeds=3, margin=0.01),
    )
    result = at.Study(task, space, arguments.path, plan, arguments.engine).run()
    print(summary(result.path))


if __name__ == "__main__":
    main()
