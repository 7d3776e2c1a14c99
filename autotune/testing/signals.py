"""Made-up signals: consistent ones, and each way in which real ones go wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from autotune.signals import Reading, Signal

CLASSES: Final = 4
WIDTH: Final = 6
TARGET_SPLIT: Final = 11
GRADIENT: Final = 5
CHECKPOINTS: Final = 2
HISTORY: Final = 4
GROUPS: Final = 3
KINDS: Final = (
    "equal",
    "certain",
    "one class",
    "duplicates",
    "nan sample",
    "all nan",
    "half uncovered",
    "none covered",
)


def random_readings(needs: Collection[Signal], n: int, seed: int = 0) -> dict[Signal, Reading]:
    """Signals of a made-up classifier, which agree with each other, fresh and for every sample."""
    generator = torch.Generator().manual_seed(seed)

    def split(size: int) -> tuple[Tensor, Tensor, Tensor]:
        logits = 2 * torch.randn(size, CLASSES, generator=generator)
        targets = torch.randint(CLASSES, (size,), generator=generator)
        return logits, targets, torch.randn(size, WIDTH, generator=generator).relu()

    logits, targets, embeddings = split(n)
    target_logits, target_targets, target_embeddings = split(TARGET_SPLIT)
    values = {
        Signal.LOSS: cross_entropy(logits, targets, reduction="none"),
        Signal.LOGITS: logits,
        Signal.PROBABILITIES: logits.softmax(1),
        Signal.TARGETS: targets,
        Signal.EMBEDDINGS: embeddings,
        Signal.ERRORS: logits.softmax(1) - one_hot(targets, CLASSES),
        Signal.TARGET_SPLIT_EMBEDDINGS: target_embeddings,
        Signal.TARGET_SPLIT_ERRORS: target_logits.softmax(1) - one_hot(target_targets, CLASSES),
    }

    def draws(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    values |= {
        Signal.FEATURES: embeddings,
        Signal.GROUPS: torch.randint(GROUPS, (n,), generator=generator),
        Signal.GRADIENTS: draws(n, GRADIENT),
        Signal.UPDATES: draws(n, GRADIENT),
        Signal.CHECKPOINT_GRADIENTS: draws(n, CHECKPOINTS, GRADIENT),
        Signal.LOSS_HISTORY: draws(n, HISTORY).square(),
        Signal.MARGIN_HISTORY: draws(n, HISTORY),
        Signal.REFERENCE_LOSS: draws(n).square(),
        Signal.TARGET_SPLIT_TARGETS: target_targets,
        Signal.TARGET_SPLIT_GRADIENTS: draws(TARGET_SPLIT, GRADIENT),
        Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS: draws(TARGET_SPLIT, CHECKPOINTS, GRADIENT),
    }
    for signal in (Signal.LOSS_HISTORY, Signal.MARGIN_HISTORY):  # some were seen less often
        values[signal][n // 2 :, : HISTORY // 2] = torch.nan
    return {signal: Reading.fresh(values[signal]) for signal in needs}


def degenerate(readings: Mapping[Signal, Reading], kind: str) -> dict[Signal, Reading]:
    """The same readings, spoilt in one of the ways named in `KINDS`; class ids stay valid."""
    return {
        signal: reading if signal.of_target_split else _spoilt(signal, reading, kind)
        for signal, reading in readings.items()
    }


def _spoilt(signal: Signal, reading: Reading, kind: str) -> Reading:
    values, covered = reading.values.clone(), reading.covered.clone()
    if signal in (Signal.TARGETS, Signal.GROUPS):
        return Reading(torch.zeros_like(values) if kind == "one class" else values, reading.age, covered)
    if kind == "equal":
        values[:] = values[0].clone()
    elif kind == "certain":
        values = torch.eye(values.shape[1])[values.argmax(1)] if values.dim() == 2 else values * 0
    elif kind == "duplicates":
        values[1::2] = values[0 : len(values) - 1 : 2].clone()
    elif kind == "nan sample":
        values[len(values) // 2] = torch.nan
    elif kind == "all nan":
        values[:] = torch.nan
    elif kind == "half uncovered":
        covered[::2] = False
        values[::2] = torch.nan
    elif kind == "none covered":
        covered[:] = False
        values[:] = torch.nan
    return Reading(values, reading.age, covered)


def some_ids(n: int, seed: int = 0) -> Tensor:
    """Distinct sample ids with gaps, in random order."""
    return torch.randperm(10 * n, generator=torch.Generator().manual_seed(seed))[:n]
