"""What the study's thread and Ray Tune's thread hand each other; knows nothing of Ray."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import final

from autotune.events import Outcome
from autotune.work import Assignment


@final
class Exchange:
    """Assignments one way, outcomes the other, and the moment at which the study has reacted to them.

    Entering `collect` means that the study has reacted to every outcome that an earlier `collect` returned.
    Every wait ends when the exchange is closed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[Assignment] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._cancelled: set[int] = set()
        self._put = 0  # outcomes so far
        self._collected = 0  # of them, given to the study
        self._reacted = 0  # of those, known to have been reacted to
        self._failure: BaseException | None = None
        self._closed = False

    # The study's side

    def submit(self, assignment: Assignment) -> None:
        """Queue an assignment."""
        with self._changed:
            self._queue.append(assignment)
            self._changed.notify_all()

    def collect(self, timeout_s: float) -> list[Outcome]:
        """All outcomes not collected yet; waits for one, at most `timeout_s` seconds.

        Raises:
            BaseException: What ended the other side, when nothing is left to collect.
        """
        with self._changed:
            self._reacted = self._collected
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._outcomes or self._failure or self._closed, timeout_s)
            outcomes = list(self._outcomes)
            self._outcomes.clear()
            self._collected += len(outcomes)
            if self._failure is not None and not outcomes:
                raise self._failure
            return outcomes

    def cancel(self, assignment: int) -> None:
        """Forget a queued assignment; mark one that may be running."""
        with self._changed:
            queued = len(self._queue)
            self._queue = deque(waiting for waiting in self._queue if waiting.id != assignment)
            if len(self._queue) == queued:
                self._cancelled.add(assignment)
            self._changed.notify_all()

    def close(self) -> None:
        """Wake everybody; nothing is handed out any more."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()

    # Ray Tune's side

    @property
    def closed(self) -> bool:
        """Whether the study has let go."""
        return self._closed

    def take_cancelled(self) -> set[int]:
        """Assignments cancelled since the last call, except those that were still queued."""
        if not self._cancelled:
            return set()
        with self._changed:
            cancelled, self._cancelled = self._cancelled, set()
            return cancelled

    @property
    def queued(self) -> int:
        """How many assignments wait."""
        return len(self._queue)

    @property
    def oldest(self) -> int | None:
        """The id of the assignment that waits before all others."""
        with self._changed:
            return self._queue[0].id if self._queue else None

    @property
    def oldest_trial(self) -> int | None:
        """Its trial."""
        with self._changed:
            return self._queue[0].trial if self._queue else None

    def wait_for_work(self, wait_s: float) -> None:
        """Wait until an assignment is queued, at most `wait_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed, wait_s)

    def take(
        self, fits: Callable[[Assignment], bool] = lambda assignment: True, before: Collection[int] = ()
    ) -> Assignment | None:
        """The oldest queued assignment that fits; of the trials `before` rather than of others.

        None where there is none, and once the study is to end with an error.
        """
        with self._changed:
            if self._failure is not None:
                return None
            wanted = [at for at, one in enumerate(self._queue) if one.trial in before] if before else []
            place = next((at for at in (*wanted, *range(len(self._queue))) if fits(self._queue[at])), None)
            if place is None:
                return None
            taken = self._queue[place]
            del self._queue[place]
            return taken

    def put_back(self, assignment: Assignment) -> None:
        """Queue an assignment again, before all others."""
        with self._changed:
            if not self._closed:
                self._queue.appendleft(assignment)

    def answer(self, outcome: Outcome) -> int:
        """Hand an outcome to the study; the number identifies it in `wait_for_reaction`."""
        with self._changed:
            self._outcomes.append(outcome)
            self._put += 1
            self._changed.notify_all()
            return self._put

    def wait_for_reaction(self, number: int, wait_s: float) -> None:
        """Wait until the study has reacted to an outcome and all before it, at most `wait_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._reacted >= number or self._closed, wait_s)

    def fail(self, error: BaseException) -> None:
        """Make `collect` raise; this side is gone."""
        with self._changed:
            if self._failure is None:
                self._failure = error
            self._changed.notify_all()
