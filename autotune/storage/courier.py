"""One errand after another in the background, so that training does not wait for a store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Final, final

LOOK_S: Final = 0.2  # between two signs of life while somebody waits


@final
class Courier:
    """Runs errands in the order in which they were sent; the next of its key stands in for a waiting one.

    Its thread lives as long as there is something to do, and ends with the process.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def send(self, key: Hashable, errand: Callable[[], None]) -> None:
        """Have an errand run; what it raises is raised by the next `flush`."""
        with self._changed:
            self._waiting.pop(key, None)  # the new one comes last
            self._waiting[key] = errand
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="autotune-courier", daemon=True)
                self._thread.start()

    def flush(self, beat: Callable[[], object]) -> None:
        """Wait until every errand has been run.

        Raises:
            Exception: What one of them raised.
        """
        with self._changed:
            while self._thread is not None:
                self._changed.wait(LOOK_S)
                beat()
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                errand = self._waiting.pop(next(iter(self._waiting)))
            try:
                errand()
            except Exception as error:
                with self._changed:
                    self._failure = self._failure or error
