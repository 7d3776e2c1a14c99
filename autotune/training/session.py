"""What a training loop sees of its trial: one interface for the built-in loop and for loops of users."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from autotune.errors import MissingMetricError, PreemptedError, TrialError, unknown
from autotune.events import Config
from autotune.ledger import Label
from autotune.task import Batch
from autotune.training.compare import BRANCH_SHARE, wearing
from autotune.training.flops import PassCost, forward_flops, is_lazy
from autotune.training.measures import BATCH, MEASURES, measured
from autotune.training.meter import Meter
from autotune.training.modes import evaluating
from autotune.training.parallel.passes import joined, part_of
from autotune.training.parts import Snapshot
from autotune.training.room import Room
from autotune.training.rules import BRANCH
from autotune.training.trial import Trial
from autotune.work import LEAVING, Assignment, Beat

T = TypeVar("T")


class Session:
    """One assignment of one trial.

    A training loop builds a model and an optimizer from `config`, calls `attach` (which puts back what the
    trial has learnt so far), makes one step for each batch of `loader`, then evaluates and reports:

    ```python
    def train(session):
        model = build(session.config).to(session.device)
        optimizer = torch.optim.SGD(model.parameters(), lr=session.config["lr"])
        session.attach(model, optimizer)
        for batch in session.loader(session.config["batch_size"]):
            losses = F.cross_entropy(model(batch.inputs), batch.targets, reduction="none")
            optimizer.zero_grad()
            (losses * batch.weights).mean().backward()
            optimizer.step()
            session.observe(batch.ids, losses)
        right = sum((model(b.inputs).argmax(1) == b.targets).sum() for b in session.evaluation())
        session.report(accuracy=right / session.evaluation_size)
    ```

    Torch's random numbers within are the trial's own, and are saved with it. Whatever else a loop keeps must
    be a function of `progress`, since it is called anew for each rung, and after each interruption.

    Args:
        room: What the worker holds for all trials.
        assignment: Which trial, and how far.
        beat: Called whenever the trial makes progress.
        meter: What the trial spends.
        hot: The trial as this worker left it, where nobody went on with it since.
        shown: What the loop gets to see of the configuration; all of it when None.
    """

    def __init__(
        self,
        room: Room,
        assignment: Assignment,
        beat: Beat,
        meter: Meter,
        hot: Snapshot | None = None,
        shown: Config | None = None,
    ) -> None:
        self.metrics: dict[str, float] | None = None
        self.snapshot = hot
        self.left = False  # saved, before the machine goes
        self._room = room
        self._assignment = assignment
        self._beat = beat
        self._meter = meter
        self._shown = assignment.config if shown is None else shown
        self._trial: Trial | None = None
        self._ranks = room.ranks
        self._asked = False  # to save at once and to leave, at the last step

    @property
    def config(self) -> Config:
        """The trial's configuration."""
        return self._shown

    @property
    def seed(self) -> int:
        """The trial's seed."""
        return self._assignment.seed

    @property
    def device(self) -> torch.device:
        """Where batches are, and where the model must be."""
        return self._room.samples.device

    @property
    def fidelity(self) -> float:
        """Own epoch-equivalents that the trial has spent."""
        return self.trial.fidelity

    @property
    def progress(self) -> float:
        """Share of the horizon that the trial has spent; own schedules should be written in it."""
        return self.trial.progress

    @property
    def selections(self) -> int:
        """How often the policy has selected."""
        return self.trial.feeder.selections

    @property
    def reached(self) -> bool:
        """Whether the trial is where the assignment wants it."""
        trial = self._trial
        return trial is not None and trial.fidelity >= self._assignment.until

    @property
    def evaluation_size(self) -> int:
        """Number of samples that `evaluation` gives."""
        return len(self._judging())

    @property
    def trial(self) -> Trial:
        """The trial itself; for autotune's own use.

        Raises:
            TrialError: When nothing is attached.
        """
        if self._trial is None:
            raise TrialError("call session.attach(model, optimizer) first")
        return self._trial

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Hand over what is trained; it continues from the trial's newest checkpoint, if there is one.

        Args:
            model: On `device`; any module.
            optimizer: Of the model's parameters.

        Raises:
            TrialError: When they are something else, or changed places.
            CheckpointError: When the checkpoint does not fit.
        """
        for name, given, kind in (
            ("model", model, nn.Module),
            ("optimizer", optimizer, torch.optim.Optimizer),
        ):
            if not isinstance(given, kind):
                raise TrialError(
                    f"session.attach needs a {name} of type {kind.__name__}, got {type(given).__name__}; "
                    "call session.attach(model, optimizer)"
                )
        room, assignment = self._room, self._assignment
        snapshot = self.snapshot
        if snapshot is None and self._ranks.leads:
            saved = room.store.latest(assignment.trial, self._beat)
            snapshot = None if saved is None else Snapshot(saved.fidelity, saved.tensors, saved.state)
        if snapshot is None or is_lazy(
            model
        ):  # also to test what has lost its checkpoint: it is trained again
            forward = forward_flops(model, room.samples.batch(room.train[:2].to(self.device)).inputs)
        if snapshot is not None:
            forward = float(snapshot.state["facts"]["forward"])
        trial = Trial(room, assignment, model, optimizer, self._meter, PassCost(forward, len(room.train)))
        trial.beat = self._beat
        if snapshot is None:
            trial.begin()
        else:
            reported = assignment.test or snapshot.state["facts"]["rung"] != assignment.rung
            trial.load(snapshot, reported)
        if self._ranks.size > 1 and self.snapshot is None:  # all begin with the leader's state, to the bit
            state = self._ranks.first(trial.snapshot)
            if not self._ranks.leads:
                trial.load(state, False)
        self.snapshot, self._trial = snapshot, trial

    def loader(self, batch_size: int) -> Iterator[Batch]:
        """Batches as the policy wants them, until the trial is where the assignment wants it.

        Make one optimizer step for each; the loss is `(losses * batch.weights).mean()`. The learning rate is
        set here where the configuration has a `schedule`, as a factor on the optimizer's own.

        Args:
            batch_size: The largest; the batches of a pass are equal in size, give or take one sample.

        Raises:
            TrialError: When the batch size is below 1.
            DivergedError: When an observed loss is not finite.
        """
        trial, until = self.trial, self._assignment.until
        if batch_size < 1:
            raise TrialError(f"batch_size must be at least 1, got {batch_size}")
        if self.reached:
            return
        trial.feeder.batch_size = batch_size
        branching = self._room.rules.compare == BRANCH
        yield from self._quanta(trial, until * (1.0 - BRANCH_SHARE) if branching else until)
        if branching:
            trunk, start = trial.branch(), trial.fidelity
            while (batch := trial.next_batch(until, _decay(start, trial.fidelity, until))) is not None:
                yield from self._step(trial, batch)
            trial.come_back(trunk)
        trial.look()
        self._save(trial)

    def _quanta(self, trial: Trial, until: float) -> Iterator[Batch]:
        """Steps, with a checkpoint after every quantum of compute or of time."""
        rules = self._room.rules
        quantum = rules.checkpoint_share * rules.horizon
        saved_at, saved_s = trial.fidelity, time.monotonic()
        while (batch := trial.next_batch(until)) is not None:
            yield from self._step(trial, batch)
            late = self._ranks.leads and time.monotonic() - saved_s >= rules.checkpoint_s
            late, self._asked = self._ranks.any(late, self._asked)
            if (late or trial.fidelity - saved_at >= quantum) and trial.fidelity < until:
                # No look at the loss: time must not decide after how many steps a trial has diverged.
                self._save(trial)
                saved_at, saved_s = trial.fidelity, time.monotonic()
            if self._asked and trial.fidelity < until:
                if saved_at < trial.fidelity:
                    self._save(trial)
                # What lies on this machine goes with it.
                self._ranks.first(lambda: self._room.store.flush(self._beat))
                self.left = True
                raise PreemptedError(LEAVING)

    def _step(self, trial: Trial, batch: Batch) -> Iterator[Batch]:
        self._asked = bool(self._beat())
        self._meter.switch(Label.TRAIN)
        with trial.memory.watching():
            yield batch
        self._meter.switch(Label.OVERHEAD)
        trial.stepped(batch)

    def _save(self, trial: Trial) -> None:
        self.snapshot = taken = trial.snapshot()
        number, store = self._assignment.trial, self._room.store

        def save() -> None:
            place = store.save(number, taken.fidelity, taken.tensors, taken.state, self._room.epoch)
            store.prune(number, place)

        self._ranks.first(save)

    def observe(self, ids: Tensor, losses: Tensor) -> None:
        """Report the per-sample losses of a step: selectors that live on losses then need no extra pass.

        They also end a trial whose loss is no longer finite.
        """
        self.trial.observe(ids, losses)

    def evaluation(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Batches of those that judge: validation samples, at low rungs some of them, or the test split.

        Meanwhile the model is in evaluation mode, has the weights by which trials are compared, and no
        gradients are recorded. Each of several ranks gets its own batches; all are charged.

        Args:
            batch_size: None takes the study's.
        """
        trial, ids = self.trial, self._judging()
        with (
            self._meter.measure(Label.EVALUATE),
            evaluating(trial.model),
            wearing(trial.model, trial.judged.weights),
            torch.no_grad(),
        ):
            size = batch_size or self._room.rules.eval_batch
            mine = part_of(self._ranks, ids, size)
            self._meter.charge(Label.EVALUATE, trial.cost.scoring(len(ids) - sum(map(len, mine))))
            for batch in self._room.samples.batches(joined(mine), size, self._beat) if mine else ():
                self._beat()
                self._meter.charge(Label.EVALUATE, trial.cost.scoring(len(batch)))
                yield batch

    def everybody(self, found: list[T]) -> list[T]:
        """What was found in this rank's batches of `evaluation`, and by the others in theirs, in order."""
        return [one for rank in self._ranks.gather(found) for one in rank]

    def _judging(self) -> Tensor:
        return self._room.judging(self._assignment.until, self._assignment.test)

    def measure(self) -> None:
        """Add to the report what the study reads and the library can measure, where the loop did not say.

        Raises:
            MissingMetricError: When the study reads something that is neither reported nor can be measured.
            TrialError: When it cannot be measured.
        """
        reported, room, trial = self.metrics or {}, self._room, self.trial
        missing = [] if self._assignment.test else [name for name in room.asked if name not in reported]
        strange = [name for name in missing if name not in MEASURES]
        if strange:
            raise MissingMetricError(
                f"the report lacks what the plan asks for: {unknown('metric', strange[0], reported)}"
            )
        if missing:
            batch = room.samples.batch(self._judging()[:BATCH].to(self.device))
            self.metrics = {**reported, **measured(missing, trial.model, batch, trial.cost, self._meter)}

    def report(self, **metrics: float) -> None:
        """Give the metrics of this rung; the task's metric must be among them.

        Raises:
            TrialError: When one is no number.
        """
        self.metrics = {}
        for name, value in metrics.items():
            try:
                self.metrics[name] = float(value)
            except (TypeError, ValueError, RuntimeError) as error:  # the last from a tensor of several values
                raise TrialError(f"report({name}=...) must give one number, got {value!r:.80}") from error


def _decay(start: float, now: float, end: float) -> float:
    """The learning rate's factor in a branch: linear from 1 to 0."""
    return (end - now) / (end - start) if now < end else 0.0
