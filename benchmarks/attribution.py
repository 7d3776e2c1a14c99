"""Small networks on MNIST, many trained at once, and what a training set does to them.

The protocol is dattri's (Deng et al., NeurIPS 2024): the first 5,000 training and 500 test images; a logistic
regression (SGD 0.01, 20 passes) and an MLP of 128 and 64 (momentum 0.9, dropout 0.1, 50 passes), batches of
64 samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autotune.data.sources import open_dataset
from autotune.task import Batch
from autotune.training.collect import Collector
from autotune.training.gradients import GradientCollector

CLASSES: Final = 10
BATCH: Final = 64
RATE: Final = 0.01
AT_ONCE: Final = 20  # networks trained together
State = list[Tensor]


@dataclass(frozen=True)
class Network:
    """How one kind of network is built and trained."""

    sizes: tuple[int, ...]
    epochs: int
    momentum: float
    dropout: float

    def module(self, state: State) -> nn.Sequential:
        """One network with these weights; dropout is left out, for it is only ever evaluated."""
        layers: list[nn.Module] = []
        for weight in state:
            linear = nn.Linear(len(weight) - 1, weight.shape[1])
            linear.load_state_dict({"weight": weight[:-1].T, "bias": weight[-1]})
            layers += [nn.ReLU(), linear]
        return nn.Sequential(*layers[1:])


NETWORKS: Final = {
    "logistic": Network((784, CLASSES), 20, 0.0, 0.0),
    "mlp": Network((784, 128, 64, CLASSES), 50, 0.9, 0.1),
}


@dataclass(frozen=True)
class Samples:
    """Images as vectors, and their classes."""

    inputs: Tensor
    targets: Tensor

    def batches(self, size: int = 1000) -> list[Batch]:
        """All of them, in order."""
        return [
            Batch(part, self.inputs[part], self.targets[part], torch.ones(len(part)))
            for part in torch.split(torch.arange(len(self.targets)), size)
        ]


def mnist(folder: Path, n: int, m: int) -> tuple[Samples, Samples]:
    """The first training and test images, standardised as usual."""
    data = open_dataset(folder)
    test = data.official_test
    if test is None:
        raise SystemExit(f"{folder} has no test split; name the folder of the four IDX files")
    train = np.setdiff1d(np.arange(data.n), test)
    parts = []
    for rows in (train[:n], test[:m]):
        inputs = torch.from_numpy(np.array(data.inputs[rows])).float().flatten(1) / 255
        parts.append(
            Samples((inputs - 0.1307) / 0.3081, torch.from_numpy(np.array(data.targets[rows])).long())
        )
    return parts[0], parts[1]


def flipped(samples: Samples, share: float, seed: int) -> tuple[Samples, Tensor]:
    """The samples with a share of their labels replaced by another class, and which ones."""
    generator = torch.Generator().manual_seed(seed)
    n = len(samples.targets)
    rows = torch.randperm(n, generator=generator)[: round(share * n)]
    targets = samples.targets.clone()
    targets[rows] = (targets[rows] + torch.randint(1, CLASSES, (len(rows),), generator=generator)) % CLASSES
    wrong = torch.zeros(n, dtype=torch.bool)
    wrong[rows] = True
    return Samples(samples.inputs, targets), wrong


@dataclass(frozen=True)
class Trained:
    """Networks that were trained, each on its own rows.

    Attributes:
        states: Weights of each, at the end.
        passes: Weights of each after every pass that was asked for.
        margins: Target logit less the largest other one of each network, sample and pass; NaN where it was
            not trained on. Only with one network.
    """

    states: list[State]
    passes: list[list[State]]
    margins: Tensor


def train(
    network: Network, samples: Samples, rows: Tensor, beginning: int, seed: int, keep: Sequence[int] = ()
) -> Trained:
    """Train networks on rows of the samples, all from the same weights, each in an order of its own.

    dattri's training functions begin from the same seed too unless told otherwise. With beginnings of their
    own, no method predicts a logistic regression of so few steps better than 0.72.

    Args:
        network: Which kind.
        samples: Data.
        rows: Of each network, shape (networks, size).
        beginning: Seed of the weights they begin with.
        seed: Of their orders.
        keep: After which passes, from 1, weights are kept.
    """
    states: list[State] = []
    passes: list[list[State]] = []
    margins = torch.empty(0)
    for part, chosen in enumerate(torch.split(rows, AT_ONCE)):
        found, kept, margins = _together(network, samples, chosen, beginning, 1000 * seed + part, keep)
        states += [[weight[i] for weight in found] for i in range(len(chosen))]
        passes += [[[weight[i] for weight in state] for state in kept] for i in range(len(chosen))]
    return Trained(states, passes, margins)


def _together(
    network: Network, samples: Samples, rows: Tensor, beginning: int, seed: int, keep: Sequence[int]
) -> tuple[State, list[State], Tensor]:
    generator = torch.Generator().manual_seed(beginning)
    count, size = rows.shape
    weights = [
        ((2 * torch.rand(1, a + 1, b, generator=generator) - 1) / math.sqrt(a)).repeat(count, 1, 1)
        for a, b in pairwise(network.sizes)
    ]
    parts = [  # leaves of their own, for the gradient of a part is padded to that of the whole
        part.requires_grad_() for weight in weights for part in (weight[:, :-1], weight[:, -1:])
    ]
    generator.manual_seed(seed)
    optimizer = torch.optim.SGD(parts, lr=RATE, momentum=network.momentum)
    kept, margins = [], []
    for epoch in range(1, network.epochs + 1):
        order = rows.gather(1, torch.rand(count, size, generator=generator).argsort(1))
        margin = torch.full((len(samples.targets),), torch.nan)
        for batch in torch.split(order, BATCH, 1):
            optimizer.zero_grad()
            outputs = forward(parts, samples.inputs[batch], network.dropout, generator)
            targets = samples.targets[batch]
            loss = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="sum") / batch.shape[1]
            loss.backward()
            optimizer.step()
            if count == 1:
                margin[batch[0]] = label_margins(outputs[0].detach(), targets[0])
        margins.append(margin)
        if epoch in keep:
            kept.append([weight.clone() for weight in weights])
    return weights, kept, torch.stack(margins, 1)


def forward(parts: Sequence[Tensor], inputs: Tensor, dropout: float, generator: torch.Generator) -> Tensor:
    """Logits of several networks, each for its own inputs, shape (networks, b, classes).

    Args:
        parts: Weight and bias by turns, shapes (networks, a, b) and (networks, 1, b).
        inputs: Shape (networks, b, features).
        dropout: Share of the hidden values that is set to zero.
        generator: Of dropout.
    """
    values = inputs
    for depth, (weight, bias) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        if depth:
            values = values.relu()
            if dropout:
                kept = torch.empty_like(values).bernoulli_(1 - dropout, generator=generator)
                values = values * kept.div_(1 - dropout)
        values = torch.baddbmm(bias, values, weight)
    return values


def label_margins(logits: Tensor, targets: Tensor) -> Tensor:
    """Target logit less the largest other one, shape (n,)."""
    label = F.one_hot(targets, CLASSES).bool()
    return logits[label] - logits.masked_fill(label, -torch.inf).amax(1)


def losses(model: nn.Module, batch: Batch) -> Tensor:
    """Per-sample losses."""
    values: Tensor = F.cross_entropy(model(batch.inputs), batch.targets, reduction="none")
    return values


def collector(model: nn.Module) -> Collector:
    """Of the signals of a forward pass."""
    return Collector(model, losses)


def gradients(model: nn.Module, samples: Samples, width: int, seed: int) -> Tensor:
    """Projected gradients, shape (n, width)."""
    collected, _ = GradientCollector(model, losses, width=width, seed=seed).collect(
        samples.batches(), lambda: None
    )
    return collected


def auc(scores: Tensor, wrong: Tensor) -> float:
    """Chance that a wrongly labelled sample scores above a right one."""
    order = scores.double().argsort(stable=True)
    ranks = torch.empty(len(scores), dtype=torch.double)
    ranks[order] = torch.arange(1, len(scores) + 1, dtype=torch.double)
    positives = int(wrong.sum())
    negatives = len(wrong) - positives
    return (float(ranks[wrong].sum()) - positives * (positives + 1) / 2) / (positives * negatives)


def found_in(scores: Tensor, wrong: Tensor, share: float) -> float:
    """Share of the wrongly labelled among the highest scores."""
    top = scores.argsort(descending=True, stable=True)[: round(share * len(scores))]
    return float(wrong[top].sum()) / float(wrong.sum())


def lds(scores: Tensor, rows: Tensor, truth: Tensor) -> float:
    """Linear datamodelling score: mean rank correlation of predicted and true outcomes over test samples.

    Args:
        scores: Of each training sample for each test sample, shape (n, m).
        rows: Training samples of each retraining, shape (subsets, size).
        truth: Minus the loss of each test sample after each retraining, shape (subsets, m).
    """
    member = torch.zeros(len(rows), len(scores)).scatter_(1, rows, 1.0)
    predicted, real = (_ranks(values) for values in (member @ scores.float(), truth))
    correlations = (predicted * real).sum(0) / (predicted.norm(dim=0) * real.norm(dim=0))
    return float(correlations.mean())


def _ranks(values: Tensor) -> Tensor:
    ranks = torch.argsort(torch.argsort(values, dim=0, stable=True), dim=0).double()
    return ranks - ranks.mean(0)
