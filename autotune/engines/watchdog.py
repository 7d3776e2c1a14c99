"""Ending what hangs in this process."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from autotune.errors import ConfigurationError, HungError
from autotune.work import Beat

PATIENCE_S: Final = 600.0  # without progress: longer than any step should take


def check_limit(watchdog_s: float | None) -> None:
    """Refuse a time that is none.

    Raises:
        ConfigurationError: When it is not finite and above 0.
    """
    if watchdog_s is not None and not 0 < watchdog_s < math.inf:
        raise ConfigurationError(
            f"watchdog_s must be finite and above 0 seconds, got {watchdog_s}; give None for no watchdog"
        )


@contextmanager
def watched(limit_s: float | None) -> Iterator[Beat]:
    """Raise `HungError` inside the block, where it hangs, once nobody has beaten for `limit_s` seconds.

    Only the main thread can be interrupted, and only Python and what waits for the system (locks, sockets,
    sleep): what hangs inside compiled code needs an engine with processes of its own. A debugger holds the
    watchdog off. An alarm that the caller has set goes on afterwards.

    Args:
        limit_s: None never raises.
    """
    if limit_s is None or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def arm() -> None:  # it rings again and again: what hangs may swallow the first error
        signal.setitimer(signal.ITIMER_REAL, limit_s, limit_s)

    def ring(signum: int, frame: FrameType | None) -> None:
        if not _debugging():
            raise HungError(f"no progress for watchdog_s={limit_s:g} s; raise it if this is only slow")

    handler = signal.signal(signal.SIGALRM, ring)
    began, (left, interval) = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)
    try:
        arm()
        yield arm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - began)), interval)


def _debugging() -> bool:
    """Whether a debugger is attached; a person at a breakpoint makes no progress either."""
    if sys.version_info >= (3, 12) and sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is not None:
        return True
    return sys.gettrace() is not None
