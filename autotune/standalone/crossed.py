"""Models that judge labels they have not seen: each is trained on all parts of the data but one."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from autotune.data import Dataset, Splits
from autotune.data.columns import Array
from autotune.errors import ConfigurationError
from autotune.seeds import derive
from autotune.selection import make_selector
from autotune.selectors.loss.aum import area_under_margin
from autotune.signals import Signal
from autotune.standalone.mislabels import Mislabels, of_classes, of_numbers
from autotune.standalone.progress import Progress, Stage
from autotune.standalone.training import Training, fitted, remembering
from autotune.task import ModelTask

FOLDS: Final = 3


def judge(
    data: Dataset, rows: Array, first: Array, training: Training, folds: int, progress: Progress
) -> tuple[Mislabels, str]:
    """What models say of labels, and in words which models.

    Args:
        data: With targets.
        rows: Ids of the samples that are judged and trained on, shape (n,).
        first: Position of the first sample of the same content, shape (n,): copies are judged together, for
            the label of one would tell the model of the other.
        training: How each model is trained; its seed decides the parts too.
        folds: Number of parts, from 2 to n.
        progress: Told how far it is.

    Raises:
        ConfigurationError: When `folds` is out of its range, or the model cannot be trained.
        DivergedError: When the loss of a model is no longer finite.
    """
    if not 2 <= folds <= len(rows):
        raise ConfigurationError(f"folds must be from 2 to the number of samples, {len(rows)}, got {folds}")
    task, words = training.task(data, rows)
    words += f", {folds} times; each judges the part of them that it was not shown"
    progress.note(f"labels: {words}")
    generator = np.random.default_rng(derive(training.seed, "folds"))
    classes = torch.from_numpy(data.targets[rows]) if data.kind == "classification" else None
    parts = divided(first, None if classes is None else classes.numpy(), folds, generator)
    unseen, seen = _asked(task, rows, parts, training, progress)
    if classes is None:
        return of_numbers(unseen), words
    return of_classes(unseen, seen, classes, torch.from_numpy(parts)), words


def divided(first: Array, classes: Array | None, folds: int, generator: np.random.Generator) -> Array:
    """The part of each sample: parts are of one size and have every class alike, but for copies.

    Args:
        first: Position of the first sample of the same content, shape (n,); copies are in one part.
        classes: Class ids, shape (n,), or None.
        folds: Number of parts.
        generator: Draws them.

    Returns:
        Shape (n,), in [0, folds).
    """
    n = len(first)
    order = generator.permutation(n)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    parts = np.empty(n, np.int64)
    parts[order] = np.arange(n) % folds
    found: Array = parts[first]
    return found


def _asked(
    task: ModelTask, rows: Array, parts: Array, training: Training, progress: Progress
) -> tuple[Tensor, Tensor]:
    """Logits or losses by models that have not seen the sample, areas under the margin of the others."""
    classes = task.data.kind == "classification"
    wanted = Signal.LOGITS if classes else Signal.LOSS
    policy = remembering(make_selector("aum")) if classes else {}
    ids, empty, folds = torch.from_numpy(rows), np.empty(0, np.int64), parts.max() + 1
    unseen = torch.empty(len(rows), *([task.data.classes] if classes else []))
    sums, times = torch.zeros(2, len(rows), dtype=torch.double)
    for part in range(folds):
        held = torch.from_numpy(parts == part)
        splits = Splits(rows[~held.numpy()], empty, empty, empty)
        with fitted(task, splits, training, Stage(progress, part, folds), policy, {wanted}) as session:
            source, fidelity = session.trial.source, session.fidelity
            unseen[held] = source.passes(ids[held], {wanted}, lambda: None)[wanted].values
            if classes:
                told = source.histories(ids[~held], {Signal.MARGIN_HISTORY}, fidelity)
                areas = area_under_margin(told[Signal.MARGIN_HISTORY].values)
                sums[~held] += areas.nan_to_num()
                times[~held] += areas.isfinite()
    return unseen, sums / times
