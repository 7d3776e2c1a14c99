"""The first process of a trial that several train together, as one worker for all who give it work."""

from __future__ import annotations

import threading
from typing import Any, Final, final

from autotune.cluster.trials.crew import Crew
from autotune.cluster.trials.outfit import Outfit
from autotune.errors import RankLostError
from autotune.events import Interrupted, Outcome
from autotune.work import Assignment, Beat, Worker

_LOOK_S: Final = 1.0  # between two looks at whether Ray has given one of the others up


@final
class Leader(Worker):
    """Advances assignments together with the other processes, which it has started with the first one.

    Args:
        worker: Of this process.
        size: Of the whole group.
        outfit: What this process was given, for the others.
        bulk: The arrays, in Ray's object store.
    """

    def __init__(self, worker: Worker, size: int, outfit: Outfit, bulk: Any) -> None:
        self._worker = worker
        self._size, self._outfit, self._bulk = size, outfit, bulk
        self._crew: Crew | None = None

    def advance(self, assignment: Assignment, beat: Beat) -> Outcome:
        """Advance it; where one of the others is gone, it is interrupted, and this process of no further use.

        Whoever waits for a machine without power waits for ever: so the work is done in a thread, which is
        left alone when Ray says that nobody will come.

        Raises:
            BaseException: What escapes the worker.
        """
        self._worker.node = self.node
        ends: list[Outcome | BaseException] = []

        def run() -> None:
            try:
                ends.append(self._together(assignment, beat))
            except BaseException as error:
                ends.append(error)

        thread = threading.Thread(target=run, name="autotune-rank", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_S)
            crew = self._crew
            if thread.is_alive() and crew is not None and (why := crew.lost()) is not None:
                return Interrupted(assignment.id, assignment.trial, why)
        (end,) = ends
        if isinstance(end, RankLostError):
            why = "" if self._crew is None else f": {self._crew.verdict()}"
            return Interrupted(assignment.id, assignment.trial, f"{end}{why}")
        if isinstance(end, BaseException):
            raise end
        return end

    def close(self) -> None:
        """Let the worker go; the others end with this process."""
        self._worker.close()

    def _together(self, assignment: Assignment, beat: Beat) -> Outcome:
        crew = self._crew or self._met(beat)
        crew.begin(assignment)
        return self._worker.advance(assignment, beat)

    def _met(self, beat: Beat) -> Crew:
        """The others, who have joined; where one cannot begin, all end, and others come the next time."""
        crew = self._crew = Crew(self._size)
        try:
            self._worker.join(crew.join(self._outfit.workload, self._bulk, beat))
        except RankLostError:
            raise
        except BaseException:
            self._crew = None
            crew.dismiss()
            raise
        return crew
