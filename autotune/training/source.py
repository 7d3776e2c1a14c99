"""Where the signals of a trial come from: the data, its training, and passes, which are charged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

from autotune.ledger import Label
from autotune.policy import Policy
from autotune.selection import width_of
from autotune.signals import FORWARD, HISTORIES, KNOWN, Reading, Signal, Signals
from autotune.training.collect import Collector
from autotune.training.flops import PassCost
from autotune.training.gradients import BLOCK, GradientCollector
from autotune.training.memory import Memory
from autotune.training.meter import Meter
from autotune.training.parallel.passes import joined, scored
from autotune.training.randomness import generator
from autotune.training.room import Room
from autotune.training.tracks import suffices
from autotune.work import Beat

SETTLED: Final = 0.99  # epoch-equivalents: in the first epoch losses tell when, and not what, was seen


@dataclass(frozen=True)
class Source:
    """What one trial's selector is given.

    Attributes:
        room: What the worker holds for all trials.
        collector: Of signals that a forward pass yields.
        optimizer: Of the model.
        memory: What the trial remembers of its training.
        meter: What it spends.
        cost: What passes of its model cost.
        smoothing: Of the labels, in its losses.
    """

    room: Room
    collector: Collector
    optimizer: torch.optim.Optimizer
    memory: Memory
    meter: Meter
    cost: PassCost
    smoothing: float = 0.0

    @property
    def alone(self) -> Source:
        """The same for what this process does by itself."""
        return replace(self, room=self.room.alone)

    def readings(self, policy: Policy, pool: Tensor, fidelity: float, beat: Beat) -> dict[Signal, Reading]:
        """Every signal that a policy's selector needs.

        Losses are those of training where no forward pass is needed for anything else and they are as good.

        Args:
            policy: Whose selector reads them.
            pool: Ids of the candidates.
            fidelity: Now.
            beat: Called for each batch.
        """
        if self.memory.points is not None:
            self.memory.points.keep()
        needs = policy.selector.needs
        wanted = {signal for signal in needs if not signal.of_target_split}
        readings = self.histories(pool, wanted, fidelity)
        if self.memory.losses is not None and wanted & FORWARD - self.room.static == {Signal.LOSS}:
            free = self.memory.losses.latest(pool, fidelity)
            oldest = max(1.0, policy.schedule.interval * self.room.rules.horizon)
            oldest = min(oldest, fidelity - SETTLED)
            if policy.selector.tolerates_gaps or suffices(free, oldest):
                readings[Signal.LOSS] = free
        readings |= self.passes(pool, wanted - readings.keys(), beat)
        of_target = {signal.plain for signal in needs if signal.of_target_split}
        found = self.passes(self.room.target, of_target, beat)
        return readings | {signal.on_target_split: reading for signal, reading in found.items()}

    def order(self, policy: Policy, budget: int, beat: Beat) -> Tensor | None:
        """What the policy picks from the whole training split, best first; None where each trial has to see.

        A nested rule that reads nothing that changes picks the same in every trial, and less of it for a
        smaller budget: the longest order that was wanted serves them all.
        """
        needs, train = policy.selector.needs, self.room.train
        changing = needs - KNOWN - self.room.static
        if not policy.selector.nested or changing or not needs & self.room.static or budget == len(train):
            return None
        from autotune.training import statics  # it trains a model, so it imports this module

        def make() -> tuple[Tensor, float]:
            readings = self.alone.passes(train, needs, beat)
            width = max(width_of(reading.values) for reading in readings.values())
            drawing = generator(self.room.seed, "order")
            with self.meter.measure(Label.SHARED):
                picked = policy.selector.select(Signals(train, readings), budget, drawing).ids
            return picked, policy.selector.cost(len(train), budget, width)

        key = statics.order_key(self.room, policy)
        entry = self.room.ranks.first(
            lambda: self.room.shared.get(key, self.meter.account, make, beat, least=budget)
        )
        self.meter.charge_shared(key.name, entry.owner, entry.flops)
        return entry.values[:budget]

    def histories(self, ids: Tensor, signals: Iterable[Signal], fidelity: float) -> dict[Signal, Reading]:
        """Those of the signals that training passes have left."""
        tracks = {Signal.LOSS_HISTORY: self.memory.losses, Signal.MARGIN_HISTORY: self.memory.margins}
        wanted = HISTORIES.intersection(signals)
        return {s: track.reading(ids, fidelity) for s, track in tracks.items() if s in wanted and track}

    def passes(self, ids: Tensor, signals: Iterable[Signal], beat: Beat) -> dict[Signal, Reading]:
        """Those of the signals that the data has, and those that passes over these samples yield."""
        wanted = frozenset(signals)
        found = {signal: self._known(signal, ids) for signal in wanted & KNOWN}
        for signal in sorted(wanted & self.room.static):  # in the same order on every rank
            found[signal] = self._static(signal, ids, beat)
        if forward := wanted & FORWARD - self.room.static:
            found |= self._forward(ids, forward, beat)
        if Signal.UPDATES in wanted:
            found[Signal.UPDATES] = self._gradients(ids, beat, self.optimizer)
        if Signal.CHECKPOINT_GRADIENTS in wanted and self.memory.points is not None:
            each = [self._gradients(ids, beat) for _ in self.memory.points.visit()]
            found[Signal.CHECKPOINT_GRADIENTS] = torch.stack(each, 1)
            found[Signal.GRADIENTS] = each[-1]
        elif Signal.GRADIENTS in wanted:
            found[Signal.GRADIENTS] = self._gradients(ids, beat)
        return {signal: Reading.fresh(found[signal]) for signal in wanted}

    def _known(self, signal: Signal, ids: Tensor) -> Tensor:
        samples = self.room.samples
        column = samples.targets if signal is Signal.TARGETS else samples.groups
        return column[ids.to(column.device)].cpu()

    def _static(self, signal: Signal, ids: Tensor, beat: Beat) -> Tensor:
        """Computed for the whole training split, by whoever needs it first."""
        from autotune.training import statics  # as above

        def make() -> tuple[Tensor, float]:
            with self.meter.measure(Label.SHARED):
                return statics.make(self.room.alone, signal, beat)

        key = statics.key(self.room, signal)
        entry = self.room.ranks.first(lambda: self.room.shared.get(key, self.meter.account, make, beat))
        self.meter.charge_shared(key.name, entry.owner, entry.flops)
        values = entry.values[torch.searchsorted(self.room.train, ids)]
        if signal is not Signal.REFERENCE_LOSS:
            return values
        return torch.lerp(values[:, 0], values[:, -1], self.smoothing)  # a loss is linear in its smoothing

    def _forward(self, ids: Tensor, signals: frozenset[Signal], beat: Beat) -> dict[Signal, Tensor]:
        with self.meter.measure(Label.SCORE):
            collect = partial(self.collector.collect, signals=signals, beat=beat)
            parts = scored(self.room, ids, self.room.rules.eval_batch, collect, beat)
            found = {signal: joined([part[signal] for part in parts]) for signal in signals}
        self.meter.charge(Label.SCORE, self.cost.scoring(len(ids)))
        return found

    def _gradients(self, ids: Tensor, beat: Beat, optimizer: torch.optim.Optimizer | None = None) -> Tensor:
        rules, (model, losses) = self.room.rules, (self.collector.model, self.collector.losses)
        collector = GradientCollector(model, losses, rules.gradient_layers, rules.gradient_width)
        with self.meter.measure(Label.SCORE):
            collect = partial(collector.collect, beat=beat, optimizer=optimizer)
            parts = scored(self.room, ids, min(rules.eval_batch, BLOCK), collect, beat)
        projecting = sum(flops for _, flops in parts)
        self.meter.charge(Label.SCORE, self.cost.training(len(ids)) + projecting)
        return joined([found for found, _ in parts])
