"""What runs inside a Ray worker: the lanes of one worker of the workload, which answer step by step."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, cast

import ray
from ray import tune

from autotune.cluster.live.draining import notice
from autotune.cluster.trials.leader import Leader
from autotune.cluster.trials.outfit import Outfit, worker_of
from autotune.cluster.trials.watched import Answer, WatchedLanes
from autotune.errors import CheckpointError, StorageError
from autotune.events import Outcome, from_json, to_json
from autotune.work import Assignment, InTurn, Lanes, Worker

OUTCOME: Final = "outcome"
LATE_S: Final = 600.0  # in which a machine that comes later must reach the storage
BEFORE: Final = 0.8  # of a watchdog's time: else that would end who waits for the storage as one that hangs
_LOOK_S: Final = 1.0  # where there are several lanes, a step ends so soon, for others to enter and leave


class AssignmentTrainable(tune.Trainable):
    """Advances assignments; a step ends with an answer. The actor outlives its Tune trials.

    Nothing travels in Tune's configuration, which Tune copies many times: the driver calls `equip`, `assign`
    and `leave` between the steps, and Ray keeps the order of calls. What was assigned goes on between the
    steps, too.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Stay in the directory that the user started from; Tune moves to a trial's own."""
        self._outfit: Outfit | None = None
        self._bulk: Any = None
        self._width = 1
        self._worker: Worker | None = None
        self._lanes: WatchedLanes | None = None
        self._leaving = notice()  # the machine is; each beat tells the worker
        self._node = node_type()
        os.chdir(os.environ.get("TUNE_ORIG_WORKING_DIR", "."))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Every trial fits this actor, unless a thread of it hangs."""
        self._exit_if_hung()
        os.chdir(os.environ.get("TUNE_ORIG_WORKING_DIR", "."))
        return True

    def equip(self, outfit: Outfit, bulk: Any, lanes: int) -> None:
        """Take the outfit and the workload's arrays, which Ray maps read-only from the node's one copy.

        No more than so many assignments will be given at once.
        """
        self._outfit, self._bulk, self._width = outfit, bulk, lanes
        self._lanes = WatchedLanes(self._open, outfit.watchdog_s, self._leaving)

    def assign(self, assignment: Assignment) -> None:
        """One more to advance."""
        self._equipped.enter(assignment)

    def leave(self, assignment: int) -> None:
        """One that nobody wants any more."""
        self._equipped.leave(assignment)

    def step(self) -> dict[str, Any]:
        """Wait for answers; they are JSON, which Tune neither flattens nor inspects."""
        answers = self._equipped.answers(_LOOK_S if self._width > 1 else math.inf)
        return {OUTCOME: packed(self._placed(answer) for answer in answers)}

    def cleanup(self) -> None:
        """Let the worker go."""
        self._exit_if_hung()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    @property
    def _equipped(self) -> WatchedLanes:
        if self._lanes is None:
            raise RuntimeError("the actor was used before it was equipped")
        return self._lanes

    def _exit_if_hung(self) -> None:
        if self._lanes is not None and self._lanes.hung:
            os._exit(1)

    def _placed(self, answer: Answer) -> Answer:
        """With the type of this machine."""
        if isinstance(answer, StorageError | CheckpointError) or answer.node != "local":
            return answer
        return replace(answer, node=self._node)

    def _open(self) -> Lanes:
        """The lanes of the one worker of this process."""
        if self._outfit is None:
            raise RuntimeError("the actor was used before it was equipped")
        watchdog_s = self._outfit.watchdog_s
        patience_s = LATE_S if watchdog_s is None else min(LATE_S, BEFORE * watchdog_s)
        if self._outfit.mark is not None and (problem := self._outfit.mark.problem(patience_s)) is not None:
            raise StorageError(problem)
        self._worker = worker_of(self._outfit, self._bulk)
        if self._outfit.processes > 1:
            self._worker = Leader(self._worker, self._outfit.processes, self._outfit, self._bulk)
        self._worker.node = self._node
        return InTurn(self._worker) if self._width == 1 else self._worker.lanes()


def packed(answers: Iterable[Answer]) -> str:
    """Answers as JSON; of an error that ends the study, its kind and its text."""
    return json.dumps([_plain(answer) for answer in answers])


def unpacked(text: str) -> list[Answer]:
    """Undo `packed`."""
    return [_answer(body) for body in json.loads(text)]


def _plain(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, StorageError):
        return {"storage": str(answer)}
    if isinstance(answer, CheckpointError):
        return {"checkpoint": str(answer)}
    return to_json(answer)


def _answer(body: dict[str, Any]) -> Answer:
    match body:
        case {"storage": message}:
            return StorageError(message)
        case {"checkpoint": message}:
            return CheckpointError(message)
        case _:
            return cast(Outcome, from_json(body))


def node_type() -> str:
    """The type of this node, for its price: as the autoscaler names it, else `local`."""
    labels = ray.get_runtime_context().get_node_labels()
    return str(os.environ.get("RAY_NODE_TYPE_NAME") or labels.get("ray.io/node-group") or "local")
