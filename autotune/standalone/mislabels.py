"""Labels that are hard to believe, by what models said of samples that they were and were not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.data.columns import Array
from autotune.training.tracks import margins

FENCE: Final = 3.0  # interquartile ranges above the upper quartile, where Tukey calls a value far out


@final
@dataclass(frozen=True)
class Mislabels:
    """What was found of each sample, in the order of their ids.

    Attributes:
        margin: Target logit less the largest other one, the mean of its area under training and of what a
            model says that has not seen the sample, shape (n,); NaN for regression.
        loss: Of the model that has not seen the sample, shape (n,).
        rival: The other class that this model prefers, shape (n,); -1 for regression.
        score: What ranks: the negative margin, for regression the loss, shape (n,); higher is likelier wrong.
        suspect: The samples to look at, shape (n,): the first of the ranking, as many as there are confident
            contradictions; for regression an error that is far out.
    """

    margin: Array
    loss: Array
    rival: Array
    score: Array
    suspect: Array

    def ranking(self) -> Array:
        """Positions from the likeliest wrong to the least, ties by position."""
        return _highest_first(self.score)


def of_classes(logits: Tensor, seen: Tensor, targets: Tensor, parts: Tensor) -> Mislabels:
    """Rank by margins; how many are suspect is counted by confident learning.

    Reference: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking",
    NeurIPS 2020, for the margins of training.

    Args:
        logits: Of models that have not seen the sample, shape (n, classes).
        seen: Area under the margin in the training of the other models, shape (n,); NaN where there is none.
        targets: Class ids, shape (n,).
        parts: Which model the logits are of, from 0, shape (n,); each has its own confidence.
    """
    unseen = margins(logits, targets).double()
    margin = torch.where(seen.isfinite(), (unseen + seen) / 2, unseen)
    doubted = torch.zeros(len(targets), dtype=torch.bool)
    for part in range(int(parts.max()) + 1):
        held = parts == part
        doubted[held] = contradicted(logits[held].softmax(1), targets[held])
    score = -margin.numpy()
    suspect = np.zeros(len(score), bool)
    suspect[_highest_first(score)[: int(doubted.sum())]] = True
    rival = logits.scatter(1, targets.unsqueeze(1), -torch.inf).argmax(1)
    loss = F.cross_entropy(logits, targets, reduction="none")
    return Mislabels(margin.numpy(), loss.numpy(), rival.numpy(), score, suspect)


def of_numbers(losses: Tensor) -> Mislabels:
    """Rank by squared errors of models that have not seen the sample, shape (n,)."""
    loss = losses.double().numpy()
    sizes = np.sqrt(loss)  # squares of a normal error have a tail of their own
    lower, upper = np.quantile(sizes, [0.25, 0.75])
    none = np.full_like(loss, np.nan)
    return Mislabels(none, loss, np.full(len(loss), -1), loss, sizes > upper + FENCE * (upper - lower))


def contradicted(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Samples that a model is confident to be of another class.

    It is confident of a class where it gives it at least the probability that it gives it on average on the
    samples labelled so; of several such classes the most probable counts, and it must also be the prediction.

    Reference: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
    JAIR 2021, equation 1.

    Args:
        probabilities: Of a model that has not seen these samples, shape (n, classes).
        targets: Class ids, shape (n,).

    Returns:
        Shape (n,).
    """
    own = probabilities.gather(1, targets.unsqueeze(1)).squeeze(1).double()
    sums = own.new_zeros(probabilities.shape[1]).index_add_(0, targets, own)
    counts = targets.bincount(minlength=probabilities.shape[1])
    usual = torch.where(counts > 0, sums / counts, torch.inf)
    confident = probabilities >= usual
    best = probabilities.argmax(1)
    return (best != targets) & confident.gather(1, best.unsqueeze(1)).squeeze(1)


def _highest_first(values: Array) -> Array:
    return np.argsort(-values, kind="stable")
