"""Which validation samples judge a trial: fewer at low rungs, where all would cost more than training."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def nested_order(groups: Tensor | None, generator: torch.Generator, n: int) -> Tensor:
    """An order of `n` samples in which every beginning has about its share of every group.

    Trials that are judged by beginnings of one order are judged by the same samples, as far as both go, so
    that a difference between them is one of the trials.

    Args:
        groups: Class of each sample, shape (n,), int64 from 0; None where there are none.
        generator: Of the draws.
        n: Number of samples.

    Returns:
        Places, shape (n,).
    """
    draws = torch.randperm(n, generator=generator)
    if groups is None or n == 0:
        return draws
    drawn = groups[draws]
    by_group = drawn.argsort(stable=True)
    sizes = torch.bincount(groups)
    first = sizes.cumsum(0) - sizes
    rank = torch.empty(n, dtype=torch.double)
    rank[by_group] = (torch.arange(n) - first[drawn[by_group]]).double()
    return draws[((rank + 0.5) / sizes[drawn]).argsort(stable=True)]


def judges(trained: float, validation: int, share: float, least: int) -> int:
    """How many samples judge a trial, so that this takes at most a share of the compute of its training.

    A forward pass is taken as a third of a training step, as everywhere in the ledger.

    Args:
        trained: Samples that the trial has trained on by then, repetitions counted.
        validation: Samples of the split.
        share: Of the compute of training, above 0.
        least: Never fewer, if there are as many: the noise of so few would decide.
    """
    afforded = 3 * share * trained + 1e-9
    return validation if afforded >= validation else min(validation, max(least, math.floor(afforded)))
