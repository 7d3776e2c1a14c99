"""Signals of a trained model over data in shards: passes made by whoever a spread has, and kept on disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from autotune.data.columns import Array
from autotune.signals import FORWARD, Reading, Signal
from autotune.standalone.progress import Progress
from autotune.training.gradients import GradientCollector
from autotune.training.passing import Collecting, Compute, Passing, Projecting, Spread, on_disk, values_of
from autotune.training.source import Source


def spread_out(
    source: Source, rows: Array, signals: Iterable[Signal], progress: Progress, spread: Spread
) -> dict[Signal, Reading]:
    """Those of the signals that passes of the model yield, forward or backward.

    Args:
        source: Of the trained trial.
        rows: Ids of the candidates, sorted.
        signals: What is wanted; others than those of passes are left out.
        progress: Told how far each pass is.
        spread: Where passes are made.
    """
    wanted, room = frozenset(signals), source.room
    # What travels holds no data: a worker reads its own.
    losses = replace(room, task=room.task.without_data()).losses(room.reference)
    collector = replace(source.collector, losses=losses)
    gradients = GradientCollector(
        collector.model, losses, room.rules.gradient_layers, room.rules.gradient_width
    )

    def passed(compute: Compute, what: str) -> dict[Signal, Tensor]:
        passing = Passing(compute, room.task.data, rows, room.rules.device)
        found = values_of(passing, spread, lambda done: progress.at(what, done), on_disk)
        return {signal: torch.from_numpy(values) for signal, values in found.items()}

    found: dict[Signal, Tensor] = {}
    if forward := wanted & FORWARD - room.static:
        found |= passed(Collecting(collector, forward), "collecting signals")
    if Signal.UPDATES in wanted:
        found |= passed(Projecting(gradients, Signal.UPDATES, source.optimizer), "collecting updates")
    plain = Projecting(gradients, Signal.GRADIENTS)
    points = source.memory.points
    if Signal.CHECKPOINT_GRADIENTS in wanted and points is not None:
        each = [passed(plain, "collecting gradients")[Signal.GRADIENTS] for _ in points.visit()]
        whole = torch.from_numpy(on_disk((len(rows), len(each), each[0].shape[1]), each[0].numpy().dtype))
        for point, values in enumerate(each):
            whole[:, point] = values
        found |= {Signal.CHECKPOINT_GRADIENTS: whole, Signal.GRADIENTS: each[-1]}
    elif Signal.GRADIENTS in wanted:
        found |= passed(plain, "collecting gradients")
    return {signal: Reading.fresh(values) for signal, values in found.items() if signal in wanted}
