"""What a study gives to an engine: how to train its trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch

from autotune.checkpoint import Checkpoints, open_checkpoints
from autotune.data import Dataset, Splits
from autotune.errors import CheckpointError, DeviceLostError, RankLostError, StorageError
from autotune.events import Config, Failed, Interrupted, Outcome, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.selection import Selector, register
from autotune.storage.location import Location, Remote, locate
from autotune.task import ModelTask, Task
from autotune.training import loop
from autotune.training.attempts import MAX_STARTS, Attempts
from autotune.training.device import find_device
from autotune.training.failures import device_lost, kind_of, message_of
from autotune.training.meter import Meter
from autotune.training.parallel.linked import Linked
from autotune.training.parallel.step import together
from autotune.training.parts import Snapshot
from autotune.training.randomness import scope
from autotune.training.reference import reference_flops
from autotune.training.room import Room
from autotune.training.rules import TrialRules
from autotune.training.samples import Samples
from autotune.training.session import Session
from autotune.training.shared import SharedStore
from autotune.training.step import Steps
from autotune.training.tally import Tally, take
from autotune.training.trial import ACCOUNT
from autotune.training.vectorised.lockstep import Lockstep
from autotune.training.vectorised.worth import worth
from autotune.work import LEAVING, Assignment, Beat, Lanes, Remains, Worker, Workload


@final
@dataclass(frozen=True)
class TrainingWorkload(Workload):
    """Train the trials of one study.

    Pickled, it carries everything but the data, which travels as `bulk`.

    Attributes:
        task: With its data.
        splits: The four splits, the same for every trial.
        rules: What holds for every trial.
        path: Where checkpoints go; every worker must be able to write it.
        epoch: The driver; workers of an earlier one are fenced off.
        reference: The configuration whose passes are the unit of every bill.
        seed: The study's; of what all trials share.
        shared: Folder of what is computed once for all trials, which every worker must be able to write, and
            which studies may have in common; None takes one in `path`.
        selectors: The user's own ones by name; a worker elsewhere has not run what registered them.
        asked: Metrics that the study reads besides the task's own; those of `training.measures` that nobody
            reports are measured.
    """

    task: Task
    splits: Splits
    rules: TrialRules
    path: str | Path | Remote
    epoch: int = 0
    reference: Config = field(default_factory=dict)
    seed: int = 0
    shared: str | Path | Remote | None = None
    selectors: Mapping[str, type[Selector]] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    _meta: Mapping[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_meta", self.task.data.meta())

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"task": self.task.without_data()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for name, selector in self.selectors.items():
            register(name)(selector)

    @property
    def bulk(self) -> dict[str, Any]:
        """The columns of the data; only where the workload was made."""
        return self.task.data.bulk()

    def worker(self, bulk: Any) -> TrainingWorker:
        """A worker that reads `bulk` in place."""
        return TrainingWorker(self.room(self.task.with_data(Dataset.from_bulk(bulk, self._meta))))

    def room(self, task: Task) -> Room:
        """What a worker of this process holds for all trials."""
        samples = Samples(task.data, find_device(self.rules.device), task.prepare)
        return Room(
            task,
            self.splits,
            self.rules,
            samples,
            open_checkpoints(self.path),
            self.epoch,
            SharedStore(self.shared or locate(self.path) / "shared"),
            self.reference,
            self.seed,
            self.asked,
        )

    def forget(self, trials: Collection[int]) -> None:
        """Remove their checkpoints."""
        open_checkpoints(self.path).drop(trials)

    def describe(self) -> dict[str, Any]:
        """Data, splits, metric and rules: a study never continues with others."""
        return {
            "data": self.task.data.fingerprint,
            "sizes": self.task.data.sizes,
            "splits": self.splits.fingerprint,
            "metric": self.task.metric,
            "mode": self.task.mode,
            "rules": asdict(self.rules),
        }

    @property
    def storage(self) -> Location:
        """Where checkpoints go."""
        return locate(self.path).resolve()

    @cached_property
    def reference_flops(self) -> float:
        """FLOPs of the reference configuration's forward and backward passes over the training split."""
        return reference_flops(self.room(self.task), self.reference)

    def remains(self, assignment: Assignment) -> Remains:
        """What the assignment's last start had noted, and how much of it a checkpoint keeps."""
        store = open_checkpoints(self.path)
        spent, node = take(store.folder(assignment.trial), assignment.id)
        saved = _saved_account(store, assignment)
        return Remains(saved, _again(spent - saved), node)

    def pardon(self, assignment: Assignment) -> None:
        """The start that was cut off is not counted among those that took their process down."""
        Attempts(open_checkpoints(self.path).folder(assignment.trial)).end()

    @property
    def divisible(self) -> bool:
        """Whether the loop gives its steps away, to be made together; that of a user makes them itself."""
        return isinstance(self.task, ModelTask)

    @property
    def has_test(self) -> bool:
        """Whether the test split holds anything."""
        return len(self.splits.test) > 0


@final
class TrainingWorker(Worker):
    """Trains one assignment after another; the last trial stays in memory and can go on without a reload.

    Args:
        room: Task, data and rules on one device.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._hot: tuple[int, Snapshot] | None = None

    def advance(self, assignment: Assignment, beat: Beat) -> Outcome:
        """Train to `assignment.until`, evaluate and answer.

        Raises:
            StorageError, CheckpointError: What is saved cannot be written, read or continued. No trial is to
                blame, so none is failed for it.
            RankLostError: Another rank's process is gone. It is nobody's fault either.
        """
        ranks = self._room.ranks

        def clock() -> float:  # each second is one of every device
            return ranks.size * time.perf_counter()

        with scope(self._room.samples.device):
            try:
                return together(self.advancing(assignment, beat, clock), ranks)
            except (StorageError, CheckpointError) as error:
                ranks.tell(error)
                raise

    def join(self, key: bytes) -> None:
        """Be one of the ranks of torch's default process group, which share a key."""
        self._room = replace(self._room, ranks=Linked(key))

    def lanes(self) -> Lanes:
        """Advances assignments in lockstep: steps that fit together are made together."""
        return Lockstep(self.advancing, self._room.samples.device)

    def lanes_worth(self, most: int, part: float) -> tuple[int, str]:
        """What steps of the reference configuration gain by being made together; see `vectorised.worth`."""
        return worth(self._room, most, part)

    def advancing(
        self, assignment: Assignment, beat: Beat, clock: Callable[[], float] = time.perf_counter
    ) -> Steps[Outcome]:
        """Train, evaluate and answer as `advance` does, from torch's global generators, giving steps away.

        Args:
            assignment: Which trial, and how far.
            beat: Called whenever it makes progress.
            clock: Seconds that were spent on this trial, from any origin.
        """
        store, number, ranks = self._room.store, assignment.trial, self._room.ranks
        attempts = Attempts(store.folder(number))

        def begin() -> tuple[float, int]:
            place = store.newest(number, beat)
            fidelity = 0.0 if place is None else place.fidelity
            return fidelity, attempts.begin(fidelity, self._room.epoch)

        fidelity, starts = ranks.first(begin)
        if starts >= MAX_STARTS:
            attempts.end()
            message = f"took its worker down {starts} times at {fidelity:.4g} epochs"
            return replace(_failed(assignment, "crashed", message), ledger=_saved_account(store, assignment))
        hot = self._hot_at(number, fidelity)
        if any(ranks.any(hot is None)):
            hot = None
        account = f"{store.path}#{number}#{assignment.id}"
        if not ranks.leads:
            return (yield from self._advancing(assignment, beat, Meter(clock, account=account), hot))
        tally = Tally(store.folder(number), assignment.id, self.node)
        counted = False  # as a start that took its process down
        try:
            return (yield from self._advancing(assignment, beat, Meter(clock, tally.note, account), hot))
        except DeviceLostError:
            counted = True
            raise
        finally:
            tally.close()
            if not counted:
                attempts.end()

    def close(self) -> None:
        """Let go of the last trial."""
        self._hot = None

    def _hot_at(self, trial: int, fidelity: float) -> Snapshot | None:
        """The trial in memory, if nobody has gone on with it since."""
        if self._hot is None or self._hot[0] != trial or self._hot[1].fidelity != fidelity:
            return None
        return self._hot[1]

    def _advancing(
        self, assignment: Assignment, beat: Beat, meter: Meter, hot: Snapshot | None
    ) -> Steps[Outcome]:
        self._hot = None  # a trial that fails is not held
        session, ranks = Session(self._room, assignment, beat, meter, hot), self._room.ranks
        try:
            score = yield from loop.scoring(self._room.task, session)
            spent = meter.ledger()  # before waiting for the storage, which is not the trial's doing
            ranks.first(lambda: self._room.store.flush(beat))  # what is answered must outlive this machine
        except (StorageError, CheckpointError, RankLostError):
            raise
        except Exception as error:  # whatever a trial does, the study goes on
            if session.left:  # its account is in the checkpoint, and goes on from there
                return Interrupted(assignment.id, assignment.trial, LEAVING)
            ranks.tell(error)
            if device_lost(self._room.samples.device):
                raise DeviceLostError(f"its GPU cannot be used any more: {message_of(error)}") from error
            failed = _failed(assignment, kind_of(error), message_of(error))
            if failed.kind == "memory" and torch.cuda.is_available():
                torch.cuda.empty_cache()
            return replace(failed, ledger=meter.ledger())
        if session.snapshot is not None:
            self._hot = (assignment.trial, session.snapshot)
        return Reported(
            assignment.id,
            assignment.trial,
            assignment.rung,
            session.fidelity,
            score,
            session.metrics or {},
            spent,
            session.selections,
        )


def _again(lost: Ledger) -> Ledger:
    """Of what was lost, that which is spent again: the FLOPs of what all trials share are not."""
    seconds = lost[Label.SHARED].seconds
    return lost.own + Ledger({Label.SHARED: Charge(0.0, seconds)} if seconds else {})


def _saved_account(store: Checkpoints, assignment: Assignment) -> Ledger:
    """What the assignment had spent by its newest checkpoint, and nobody has reported yet."""
    saved = store.state(assignment.trial)
    if saved is None or assignment.test or saved["facts"]["rung"] != assignment.rung:
        return Ledger()
    return Ledger.from_json(saved[ACCOUNT]["spent"])


def _failed(assignment: Assignment, kind: str, message: str) -> Failed:
    return Failed(assignment.id, assignment.trial, assignment.rung, kind, message)
