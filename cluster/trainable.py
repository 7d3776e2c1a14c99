"""What runs inside a Ray worker: one worker of the workload, and the watchdog over it."""

from __future__ import annotations

import faulthandler
import json
import os
import threading
import time
from dataclasses import replace
from typing import Any, Final, TypeAlias, cast

import ray
from ray import tune

from autotune.cluster.draining import notice
from autotune.cluster.reach import Mark
from autotune.cluster.sharing import keep_within_share
from autotune.errors import CheckpointError, StorageError
from autotune.events import Failed, Outcome, from_json, to_json
from autotune.ledger import Charge, Label, Ledger
from autotune.work import Assignment, Worker, Workload

Answer: TypeAlias = Outcome | StorageError | CheckpointError  # such an error ends the study

OUTCOME: Final = "outcome"
_LINGER_S: Final = 5.0  # a process whose thread hangs lives on for so long, to hand its answer over


class AssignmentTrainable(tune.Trainable):
    """Advances one assignment per step. The actor outlives its Tune trials and keeps its worker warm.

    Nothing travels in Tune's configuration, which Tune copies many times: the driver calls `equip` and
    `assign` before each step, and Ray keeps the order of calls.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Stay in the directory that the user started from; Tune moves to a trial's own."""
        self._workload: bytes | None = None
        self._mark: Mark | None = None
        self._bulk: Any = None
        self._watchdog_s: float | None = None
        self._worker: Worker | None = None
        self._assignment: Assignment | None = None
        self._hung = False
        self._leaving = notice()  # the machine is; each beat tells the worker
        self._node = node_type()
        os.chdir(os.environ.get("TUNE_ORIG_WORKING_DIR", "."))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Every trial fits this actor, unless a thread of it hangs."""
        if self._hung:
            os._exit(1)
        os.chdir(os.environ.get("TUNE_ORIG_WORKING_DIR", "."))
        return True

    def equip(self, workload: bytes, bulk: Any, watchdog_s: float | None, mark: Mark | None = None) -> None:
        """Take the pickled workload and its arrays, which Ray maps read-only from the node's one copy.

        This node may have come after all others were asked whether they see what the driver wrote, `mark`.
        """
        self._workload, self._bulk, self._watchdog_s, self._mark = workload, bulk, watchdog_s, mark

    def assign(self, assignment: Assignment) -> None:
        """What the next step is to do."""
        self._assignment = assignment

    def step(self) -> dict[str, Any]:
        """Advance the assignment; the answer is JSON, which Tune neither flattens nor inspects."""
        assignment, self._assignment = self._assignment, None  # what was answered is never done again
        if assignment is None:
            raise RuntimeError("step was called before assign")
        answer = self._watched(assignment)
        if not isinstance(answer, StorageError | CheckpointError) and answer.node == "local":
            answer = replace(answer, node=self._node)
        return {OUTCOME: packed(answer)}

    def cleanup(self) -> None:
        """Let the worker go."""
        if self._hung:
            os._exit(1)
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _watched(self, assignment: Assignment) -> Answer:
        """Run `_advance` in a thread of its own, so that a hanging one can still be answered for."""
        limit = self._watchdog_s
        answers: list[Answer] = []
        began = last = time.monotonic()
        armed = 0.0

        def beat() -> bool:
            nonlocal last, armed
            last = time.monotonic()
            if limit is not None and last - armed > limit / 10:
                # Also ends a process that hangs in C code and never yields the interpreter lock.
                faulthandler.dump_traceback_later(2 * limit + 1, exit=True)
                armed = last
            return self._leaving.is_set()

        def run() -> None:
            answers.append(self._advance(assignment, beat))

        beat()
        thread = threading.Thread(target=run, name="autotune-trial", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(None if limit is None else max(0.05, last + limit - time.monotonic()))
            if limit is not None and thread.is_alive() and time.monotonic() - last >= limit:
                return self._abandon(assignment, time.monotonic() - began)
        faulthandler.cancel_dump_traceback_later()
        return answers[0]

    def _abandon(self, assignment: Assignment, seconds: float) -> Failed:
        """Answer for a hanging trial; the process ends soon, since nothing can end its thread."""
        self._hung = True
        timer = threading.Timer(_LINGER_S, os._exit, args=(1,))
        timer.daemon = True
        timer.start()
        message = f"no progress for watchdog_s={self._watchdog_s} s; raise it if the trial was only slow"
        ledger = Ledger({Label.OVERHEAD: Charge(0.0, seconds)})
        return Failed(assignment.id, assignment.trial, assignment.rung, "hung", message, ledger)

    def _advance(self, assignment: Assignment, beat: Any) -> Answer:
        """Never raises: what escapes a worker is the trial's failure, unless no trial is to blame."""
        try:
            if self._worker is None:
                if self._workload is None:
                    raise RuntimeError("step was called before equip")
                if self._mark is not None and (problem := self._mark.problem()) is not None:
                    raise StorageError(problem)
                keep_within_share()
                workload: Workload = ray.cloudpickle.loads(self._workload)
                self._worker = workload.worker(self._bulk)
                self._worker.node = self._node
            return self._worker.advance(assignment, beat)
        except (StorageError, CheckpointError) as error:
            return error
        except BaseException as error:
            kind = "memory" if isinstance(error, MemoryError) else "error"
            message = f"{type(error).__name__}: {error}"
            return Failed(assignment.id, assignment.trial, assignment.rung, kind, message)


def packed(answer: Answer) -> str:
    """An answer as JSON; of an error that ends the study, its kind and its text."""
    if isinstance(answer, StorageError):
        return json.dumps({"storage": str(answer)})
    if isinstance(answer, CheckpointError):
        return json.dumps({"checkpoint": str(answer)})
    return json.dumps(to_json(answer))


def unpacked(text: str) -> Answer:
    """Undo `packed`."""
    match json.loads(text):
        case {"storage": message}:
            return StorageError(message)
        case {"checkpoint": message}:
            return CheckpointError(message)
        case body:
            return cast(Outcome, from_json(body))


def node_type() -> str:
    """The type of this node, for its price: as the autoscaler names it, else `local`."""
    labels = ray.get_runtime_context().get_node_labels()
    return str(os.environ.get("RAY_NODE_TYPE_NAME") or labels.get("ray.io/node-group") or "local")
