"""Waiting for a store that is away, broken or full: it comes back, and until then nothing is lost."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar, final

from autotune.errors import RefusedError, StorageError
from autotune.storage.store import Store

logger = logging.getLogger(__name__)
FIRST_S: Final = 0.2  # before the second try; doubled for each further one
LONGEST_S: Final = 5.0
SILENT_S: Final = 2.0  # of trouble that nobody is told
REPEAT_S: Final = 60.0  # between two messages
OPENING_S: Final = 60.0  # of patience before anything was ever written
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
    beat: Callable[[], None] = _idle
    patience_s: float = math.inf

    def beating(self, beat: Callable[[], None]) -> Patient:
        """The same store, for somebody who has to show that he is alive."""
        return replace(self, beat=beat)

    def put_new(self, name: str, content: bytes) -> bool:
        """Create a name."""
        return self._until(lambda: self.inner.put_new(name, content))

    def put(self, name: str, content: bytes | Path) -> None:
        """Write a name."""
        self._until(lambda: self.inner.put(name, content))

    def get(self, name: str) -> bytes | None:
        """The content."""
        return self._until(lambda: self.inner.get(name))

    def names(self, under: str = "") -> list[str]:
        """All names in a folder."""
        return self._until(lambda: self.inner.names(under))

    def delete(self, *names: str) -> None:
        """Remove names."""
        self._until(lambda: self.inner.delete(*names))

    def get_all(self, names: Iterable[str]) -> list[bytes | None]:
        """The contents of several names."""
        wanted = list(names)
        return self._until(lambda: self.inner.get_all(wanted))

    def _until(self, ask: Callable[[], T]) -> T:
        began, told, pause = time.monotonic(), -math.inf, FIRST_S
        while True:
            self.beat()
            try:
                answer = ask()
            except StorageError as error:
                now = time.monotonic()
                refused = isinstance(error, RefusedError) and self.patience_s < math.inf
                if refused or now - began >= self.patience_s:
                    raise
                if now - began >= SILENT_S and now - told >= REPEAT_S:
                    told = now
                    logger.warning("%s; waiting since %.0f s, nothing is lost", error, now - began)
                time.sleep(pause * (0.5 + os.getpid() % 64 / 128))  # so that workers do not ask all at once
                pause = min(2.0 * pause, LONGEST_S)
            else:
                if told > -math.inf:
                    logger.warning("storage answers again after %.0f s", time.monotonic() - began)
                return answer
