"""What the rules of the influence family cost, without the passes that make their signals."""

from __future__ import annotations

import time
from statistics import median
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from autotune.selection import make_selector
from autotune.signals import Signal, Signals
from benchmarks.attribution import (
    CLASSES,
)

RULES: Final = {
    "gradient_norm": {},
    "tracin": {},
    "trak": {},
    "datainf": {},
    "less": {},
    "target_alignment": {},
    "influence_function": {},
    "ekfac": {},
    "ekfac_self": {},
    "glister": {},
    "gradmatch": {},
    "gradmatch, batches of 32": {"batch": 32},
    "craig": {},
}


def rules(n: int, width: int, share: float, repeats: int = 5) -> dict[str, dict[str, float]]:
    """CPU milliseconds of `select` on made-up signals of a classifier, one thread."""
    generator = torch.Generator().manual_seed(0)

    def draws(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def split(size: int) -> tuple[Tensor, Tensor, Tensor]:
        classes = torch.randint(CLASSES, (size,), generator=generator)
        centres = torch.randn(CLASSES, width, generator=torch.Generator().manual_seed(1))
        embeddings = (draws(size, width) + centres[classes]).relu()
        probabilities = (2 * draws(size, CLASSES) + 3 * F.one_hot(classes, CLASSES)).softmax(1)
        return classes, embeddings, probabilities

    targets, embeddings, probabilities = split(n)
    of_target, target_embeddings, target_probabilities = split(n // 4)
    everything = {
        Signal.TARGETS: targets,
        Signal.EMBEDDINGS: embeddings,
        Signal.PROBABILITIES: probabilities,
        Signal.ERRORS: probabilities - F.one_hot(targets, CLASSES),
        Signal.GRADIENTS: draws(n, width),
        Signal.UPDATES: draws(n, width),
        Signal.CHECKPOINT_GRADIENTS: draws(n, 3, width),
        Signal.TARGET_SPLIT_TARGETS: of_target,
        Signal.TARGET_SPLIT_EMBEDDINGS: target_embeddings,
        Signal.TARGET_SPLIT_ERRORS: target_probabilities - F.one_hot(of_target, CLASSES),
        Signal.TARGET_SPLIT_GRADIENTS: draws(n // 4, width),
        Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS: draws(n // 4, 3, width),
    }
    found = {}
    for label, settings in RULES.items():
        selector = make_selector(label.split(",")[0], **settings)
        signals = Signals(torch.arange(n), {signal: everything[signal] for signal in selector.needs})
        times = []
        for _ in range(repeats):
            start = time.process_time()
            selector.select(signals, round(share * n), torch.Generator().manual_seed(0))
            times.append(time.process_time() - start)
        found[label] = {"ms": 1e3 * median(times)}
    return found
