"""Waiting for a store that is away, broken or full: it comes back, and until then nothing is lost."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, final

from autotune.errors import RefusedError, StorageError
from autotune.storage.store import Store, Stored

logger = logging.getLogger(__name__)
FIRST_S: Final = 0.2  # before the second try; doubled for each further one
LONGEST_S: Final = 5.0
SILENT_S: Final = 5.0  # that nobody is told of
REPEAT_S: Final = 60.0  # between two messages
OPENING_S: Final = 60.0  # of patience before anything was ever written
TOGETHER: Final = 256  # names whose contents are asked for at once
T = TypeVar("T")


def _idle() -> None:
    """Nobody has to hear that we wait."""


@final
@dataclass(frozen=True)
class Patient(Store):
    """A store that is asked again until it answers.

    Attributes:
        inner: The store.
        beat: Called between two tries; what it raises ends the waiting.
        patience_s: Gives up after so long, and at once where the store says no. Without end it is asked
            again whatever it says: credentials are renewed, and buckets mended, while a study waits.
    """

    inner: Store
    beat: Callable[[], object] = _idle
    patience_s: float = math.inf

    def put_new(self, name: str, content: bytes) -> bool:
        """Create a name."""
        return self._until(lambda: self.inner.put_new(name, content))

    def put(self, name: str, content: bytes | Path) -> None:
        """Write a name."""
        self._until(lambda: self.inner.put(name, content))

    def get(self, name: str) -> bytes | None:
        """The content."""
        return self._until(lambda: self.inner.get(name))

    def part(self, name: str, start: int, length: int, tag: str = "") -> bytes | None:
        """Some bytes of the content."""
        return self._until(lambda: self.inner.part(name, start, length, tag))

    def look(self, under: str = "") -> list[Stored]:
        """What is in a folder."""
        return self._until(lambda: self.inner.look(under))

    def delete(self, *names: str) -> None:
        """Remove names."""
        self._until(lambda: self.inner.delete(*names))

    def get_all(self, names: Iterable[str]) -> list[bytes | None]:
        """The contents of several names; what has arrived is not asked for again when the store goes away."""
        wanted, found = list(names), list[bytes | None]()
        for start in range(0, len(wanted), TOGETHER):
            part = wanted[start : start + TOGETHER]
            found += self._until(partial(self.inner.get_all, part))
        return found

    def _until(self, ask: Callable[[], T]) -> T:
        began, pause = time.monotonic(), FIRST_S
        with _telling(f"{self.inner} does not answer") as trouble:
            while True:
                self.beat()
                try:
                    return ask()
                except StorageError as error:
                    refused = isinstance(error, RefusedError) and self.patience_s < math.inf
                    if refused or time.monotonic() - began >= self.patience_s:
                        raise
                    trouble.append(str(error))
                time.sleep(pause * (0.5 + os.getpid() % 64 / 128))  # so that workers do not ask all at once
                pause = min(2.0 * pause, LONGEST_S)


@contextmanager
def _telling(silence: str) -> Iterator[list[str]]:
    """Tell a person what is waited for, once it takes long; the newest trouble is what is told."""
    trouble, told, over, began = [silence], [], threading.Event(), time.monotonic()

    def tell() -> None:
        told.append(True)
        logger.warning("%s; waiting since %.0f s, nothing is lost", trouble[-1], time.monotonic() - began)
        while not over.wait(REPEAT_S):
            logger.warning("%s; still waiting, since %.0f s", trouble[-1], time.monotonic() - began)

    timer = threading.Timer(SILENT_S, tell)
    timer.daemon = True
    timer.start()
    try:
        yield trouble
    finally:
        timer.cancel()
        over.set()
        if told:
            logger.warning("no longer waiting, after %.0f s", time.monotonic() - began)
