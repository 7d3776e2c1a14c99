"""Lanes in a thread of their own, so that one that hangs can still be answered for."""

from __future__ import annotations

import faulthandler
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias, final

from autotune.cluster.trials.shared_time import SharedTime
from autotune.errors import CheckpointError, DeviceLostError, StorageError
from autotune.events import Failed, Outcome
from autotune.ledger import Charge, Label, Ledger
from autotune.work import Assignment, Lanes

Answer: TypeAlias = Outcome | StorageError | CheckpointError  # such an error ends the study

_LINGER_S: Final = 5.0  # a process whose thread hangs lives on for so long, to hand its answer over
_LOOK_S: Final = 0.05  # between two looks at a thread that is late


@final
class WatchedLanes:
    """Advances assignments while its owner waits for their answers, and while nobody waits.

    Args:
        build: Called in the thread, with the first assignment; what it raises is that one's failure.
        limit_s: Seconds without progress after which a trial is ended; None never ends one.
        leaving: Set once the machine is about to go; each beat tells the worker.

    Attributes:
        hung: Whether the thread hangs; the process ends soon, since nothing can end its thread.
    """

    def __init__(self, build: Callable[[], Lanes], limit_s: float | None, leaving: threading.Event) -> None:
        self.hung = False
        self._build, self._leaving = build, leaving
        self._limit_s = math.inf if limit_s is None else limit_s
        self._changed = threading.Condition()
        self._inside: dict[int, Assignment] = {}
        self._entering: list[Assignment] = []
        self._unwanted: dict[int, float] = {}  # assignments that are to leave, and since when
        self._answers: list[Answer] = []
        self._error: BaseException | None = None
        self._lanes: Lanes | None = None
        self._time = SharedTime()
        self._last = self._armed = 0.0
        threading.Thread(target=self._run, name="autotune-trial", daemon=True).start()

    def enter(self, assignment: Assignment) -> None:
        """Take one in as soon as its turn comes."""
        with self._changed:
            if not self._inside:
                self._last = time.monotonic()
            self._inside[assignment.id] = assignment
            self._entering.append(assignment)
            self._time.enter(assignment.id)
            self._changed.notify_all()

    def leave(self, assignment: int) -> None:
        """Give one up; where it does not give way soon, it is answered for as hung."""
        with self._changed:
            if assignment in self._inside:
                self._unwanted[assignment] = time.monotonic()
                self._changed.notify_all()

    def answers(self, wait_s: float = math.inf) -> list[Answer]:
        """What has come to its end since the last call; waits for it at most `wait_s` seconds.

        Raises:
            BaseException: What cannot be blamed on one of several; the process is of no use any more.
        """
        end = time.monotonic() + wait_s
        with self._changed:
            while not self._answers and self._inside.keys() - self._unwanted.keys():
                now = time.monotonic()
                if self._is_late(now):
                    return [self._abandon()]
                if now >= end:
                    break
                left = [
                    end - now,
                    self._last + self._limit_s - now,
                    _LINGER_S if self._unwanted else math.inf,
                ]
                wait = max(_LOOK_S, min(left))
                self._changed.wait(None if wait == math.inf else wait)
            if self._error is not None:
                raise self._error
            answers, self._answers = self._answers, []
            return answers

    def _run(self) -> None:
        """The thread: turn after turn, as long as anybody is in."""
        while self._error is None:
            with self._changed:
                self._changed.wait_for(lambda: self._inside)
                entering, self._entering = self._entering, []
                unwanted = list(self._unwanted)
            self._beat()
            answers = self._turn(entering, unwanted)
            with self._changed:
                for number in (*unwanted, *(a.assignment for a in answers if not isinstance(a, Exception))):
                    self._inside.pop(number, None)
                    self._unwanted.pop(number, None)
                    self._time.leave(number)
                if self._error is not None or any(isinstance(answer, Exception) for answer in answers):
                    self._inside.clear()  # nothing goes on here
                if not self._inside:
                    faulthandler.cancel_dump_traceback_later()
                    self._armed = 0.0
                self._answers += answers
                self._changed.notify_all()

    def _beat(self) -> bool:
        """Note that there is progress; whether the machine is about to go."""
        self._last = time.monotonic()
        if self._limit_s < math.inf and self._last - self._armed > self._limit_s / 10:
            # Also ends a process that hangs in C code and never yields the interpreter lock.
            faulthandler.dump_traceback_later(2 * self._limit_s + 1, exit=True)
            self._armed = self._last
        return self._leaving.is_set()

    def _turn(self, entering: list[Assignment], unwanted: list[int]) -> list[Answer]:
        """Never raises: what escapes a worker is the failure of the one whose turn it was."""
        try:
            if self._lanes is None:
                self._lanes = self._build()
            for assignment in entering:
                self._lanes.enter(assignment)
            for number in unwanted:
                self._lanes.leave(number)
            return list(self._lanes.advance(self._beat))
        except (StorageError, CheckpointError) as error:
            return [error]
        except DeviceLostError as error:  # nothing works here any more: the process ends, and was its trial's
            self._error = error
            return []
        except BaseException as error:
            failed = entering if self._lanes is None else self._in_turn()
            if not failed:
                self._error = error
            elif self._lanes is not None:
                self._lanes.leave(failed[0].id)
            kind = "memory" if isinstance(error, MemoryError) else "error"
            message = f"{type(error).__name__}: {error}"
            return [Failed(one.id, one.trial, one.rung, kind, message) for one in failed]

    def _in_turn(self) -> list[Assignment]:
        """The one that is being advanced; nobody where it may be any of several."""
        turn = None if self._lanes is None else self._lanes.turn
        return [one for one in self._inside.values() if one.id == turn or len(self._inside) == 1]

    def _is_late(self, now: float) -> bool:
        """Whether the thread makes no progress, or does not let go of one that is to leave."""
        asked = [self._unwanted[one.id] for one in self._in_turn() if one.id in self._unwanted]
        return now - self._last >= self._limit_s or any(now - since >= _LINGER_S for since in asked)

    def _abandon(self) -> Failed:
        """Answer for the trial that hangs; where nobody knows which it is, the process dies of it."""
        hanging = self._in_turn()
        if not hanging:
            os._exit(1)
        self.hung = True
        timer = threading.Timer(_LINGER_S, os._exit, args=(1,))
        timer.daemon = True
        timer.start()
        one = hanging[0]
        message = f"no progress for watchdog_s={self._limit_s:g} s; raise it if the trial was only slow"
        ledger = Ledger({Label.OVERHEAD: Charge(0.0, self._time.leave(one.id))})
        return Failed(one.id, one.trial, one.rung, "hung", message, ledger)
