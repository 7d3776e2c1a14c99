"""A model in training: everything that changes while it trains, and nothing that is the user's to call."""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from autotune.errors import DivergedError, TrialError
from autotune.ledger import Label
from autotune.policy import Policy, Weighting
from autotune.seeds import derive
from autotune.selection import Subset, width_of
from autotune.signals import Signals
from autotune.task import Batch
from autotune.training.collect import Collector
from autotune.training.compare import Average, Judged
from autotune.training.feeder import Feeder
from autotune.training.flops import PassCost
from autotune.training.memory import Memory
from autotune.training.meter import Meter
from autotune.training.parts import ModelPart, OptimizerPart, Part, Snapshot, capture, restore
from autotune.training.randomness import GlobalGenerators, generator
from autotune.training.room import Room
from autotune.training.rules import BFLOAT16, EMA
from autotune.training.settings import RateSchedule
from autotune.training.source import Source
from autotune.work import Assignment, Beat

LOOK_EVERY: Final = 32  # steps between two looks at a loss that lies on an accelerator: looking waits for it
ACCOUNT: Final = "meter"  # the part that a branch does not take back: what was spent is spent


class Trial:
    """One trial, from its first step or from a snapshot.

    Args:
        room: What the worker holds for all trials.
        assignment: Which trial, and how far.
        model: On the device.
        optimizer: Of the model.
        meter: What the trial spends.
        cost: What passes of this model cost.
    """

    def __init__(
        self,
        room: Room,
        assignment: Assignment,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        meter: Meter,
        cost: PassCost,
    ) -> None:
        self.model = model
        self.cost = cost
        self.beat: Beat = lambda: None
        self._room = room
        self._seed = assignment.seed
        self._meter = meter
        self._optimizer = optimizer
        self._facts = {"rung": assignment.rung, "forward": cost.forward}
        self._schedule = RateSchedule.from_config(assignment.config)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._steps = 0
        self._loss: Tensor | None = None
        self._policy = Policy.from_config(assignment.config)
        needs = self._policy.selector.needs if self._policy.selects else frozenset()
        device = room.samples.device
        self.memory = Memory(needs, model, room.samples.n, device, room.ranks)
        halved = room.rules.signal_precision == BFLOAT16
        collector = Collector(model, room.losses(assignment.config), room.head, halved)
        smoothing = room.smoothing(assignment.config)
        self.source = Source(room, collector, optimizer, self.memory, meter, cost, smoothing)
        self.feeder = Feeder(self._policy, room.train, self._seed, self.choose, device, room.samples.windows)
        self._samples, self._window = room.samples, torch.empty(0)
        self.judged = Average(model) if room.rules.compare == EMA else Judged()
        self._generators = GlobalGenerators(device)
        self._parts: dict[str, Part] = {
            "model": ModelPart(model),
            "optimizer": OptimizerPart(optimizer),
            "feeder": self.feeder,
            "judged": self.judged,
            "generators": self._generators,
            ACCOUNT: meter,
            **self.memory.parts(),
        }

    @property
    def fidelity(self) -> float:
        """Own epoch-equivalents spent on training, scoring and selecting."""
        return self._meter.counted / self.cost.epoch

    @property
    def progress(self) -> float:
        """Share of the horizon spent."""
        return self.fidelity / self._room.rules.horizon

    def begin(self) -> None:
        """Start afresh: from here on torch's generators do not depend on how the model was built."""
        self._generators.seed(derive(self._seed, "training"))

    def load(self, snapshot: Snapshot, reported: bool) -> None:
        """Go on from a snapshot; `reported` tells that its account has been handed in."""
        state = dict(snapshot.state)
        if reported:
            state[ACCOUNT] = state[ACCOUNT] | {"spent": {}}
        restore(self._parts, Snapshot(snapshot.fidelity, snapshot.tensors, state))
        self._steps = state["facts"]["steps"]

    def snapshot(self) -> Snapshot:
        """The trial as it is."""
        taken = capture(self._parts, self.fidelity)
        facts: dict[str, Any] = self._facts | {"steps": self._steps}
        return Snapshot(taken.fidelity, taken.tensors, {**taken.state, "facts": facts})

    def branch(self) -> Snapshot:
        """The trial without its account, to come back to; a loop's own rates fall from where they are."""
        if self._schedule.idle:
            self._rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        return capture({name: part for name, part in self._parts.items() if name != ACCOUNT}, self.fidelity)

    def come_back(self, snapshot: Snapshot) -> None:
        """Throw a branch away, all but its weights, which are judged, and what it has spent."""
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        restore({name: part for name, part in self._parts.items() if name != ACCOUNT}, snapshot)
        self.judged.weights = weights

    def next_batch(self, until: float, decay: float = 1.0) -> Batch | None:
        """The next batch, with the learning rate set for it; None when `until` is reached.

        Choosing a subset spends too, so it may be what reaches `until`.
        """
        if self.fidelity >= until:
            return None
        self.feeder.ready(self.progress)
        if self.fidelity >= until:
            return None
        if decay != 1.0 or not self._schedule.idle:
            factor = decay * self._schedule.factor(self.progress)
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
        ids, weights = self.feeder.take()
        if self.feeder.window is not self._window:
            self._window = self.feeder.window
            self._samples = self._samples.near(self._window, self.beat)
        return self._samples.batch(ids, weights)

    def stepped(self, batch: Batch) -> None:
        """A step on this batch was made.

        Raises:
            DivergedError: When its loss was not finite.
        """
        self._steps += 1
        self.memory.stepped(batch, self.fidelity)
        self._meter.charge(Label.TRAIN, self.cost.training(len(batch)))
        if self._room.samples.device.type == "cpu" or self._steps % LOOK_EVERY == 0:
            self.look()
        self.judged.step()

    def observe(self, ids: Tensor, losses: Tensor) -> None:
        """Take note of per-sample training losses.

        Raises:
            TrialError: When they are not one per sample.
        """
        if losses.shape != ids.shape:
            raise TrialError(
                f"observe needs one loss per sample, {tuple(ids.shape)}, got {tuple(losses.shape)}; "
                "use reduction='none'"
            )
        losses = losses.detach()
        self._loss = losses.sum()
        if self.memory.losses is not None:
            self.memory.losses.observe(ids, losses, self.fidelity)

    def look(self) -> None:
        """Check the last loss that was observed."""
        loss = 0.0 if self._loss is None else self._loss.item()
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss is {loss}; search lower learning rates, or set grad_clip")

    def choose(self, index: int) -> Subset:
        """Draw candidates, collect what the selector needs, and select; each is charged."""
        self.beat()  # a probe ends here
        selector, n = self._policy.selector, len(self._room.train)
        pool, candidates = self._room.train, self._policy.candidates(n)
        if candidates < n:
            order = torch.randperm(n, generator=generator(self._seed, "pool", index))
            pool = pool[order[:candidates]]
        budget = min(self._policy.budget(n), len(pool))
        if len(pool) == n and (shared := self.source.order(self._policy, budget, self.beat)) is not None:
            return Subset.uniform(shared)
        if index == 0:
            self._check_leaves_training(self._policy.scoring(self._room.static), "its signals cost")
        readings = self.source.readings(self._policy, pool, self.fidelity, self.beat)
        signals = Signals(pool, readings, self.progress)
        width = max((width_of(reading.values) for reading in readings.values()), default=1)
        flops = selector.cost(len(pool), budget, width)
        if index == 0:
            self._check_leaves_training(flops / self.cost.epoch, "its rule costs")
        with self._meter.measure(Label.SELECT):
            drawing = generator(self._seed, "select", index)
            subset = self._room.ranks.first(lambda: selector.select(signals, budget, drawing))
        self._meter.charge(Label.SELECT, flops)
        return Subset.uniform(subset.ids) if self._policy.weighting is Weighting.UNIFORM else subset

    def _check_leaves_training(self, epochs: float, said: str) -> None:
        """Refuse a first selection after which nothing could be trained: a rule may take hours for that.

        Raises:
            TrialError: When it costs what is left of the horizon, in epoch-equivalents.
        """
        horizon = self._room.rules.horizon
        if self.fidelity + epochs >= horizon:
            raise TrialError(
                f"policy {self._policy.name!r}: one selection leaves nothing to train: {said} {epochs:.3g} "
                f"epoch-equivalents of the trial's {horizon:g}; lower policy.pool or policy.fraction"
            )
