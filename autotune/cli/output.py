"""What a command leaves behind: one JSON document, one line for an error, nothing half done."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from autotune.errors import DONE, RETRY
from autotune.report.numbers import plain


class Stopped(BaseException):
    """SIGTERM arrived; no `except Exception` of a trial may swallow it."""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that the log and the engine are closed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def aside(wanted: bool) -> contextlib.AbstractContextManager[Any]:
    """What tasks and libraries print must not get between a pipeline and its document."""
    return contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext()


def say(error: BaseException | str, code: int, as_json: bool = False) -> int:
    """Print in a line why a command has no answer, as a document where one is wanted; return the code."""
    print(f"autotune: {error}", file=sys.stderr)
    if as_json:
        kind = type(error).__name__ if isinstance(error, BaseException) else "Stopped"
        print_json({"error": str(error), "kind": kind, "exit_code": code})
    return code


def print_json(document: Any) -> None:
    """Print a document to standard output; numbers that are not finite become null."""
    print(json.dumps(plain(document), indent=2, allow_nan=False))


def answer(work: Callable[[], tuple[Any, str]], as_json: bool, stopped: str = "nothing was written") -> int:
    """Do work that leaves nothing half done, and print what it says: a document, or words for people.

    Args:
        work: Returns both.
        as_json: Which one is wanted.
        stopped: How things stand when it was interrupted.
    """
    return conclude(lambda: (DONE, *work()), as_json, stopped)


def conclude(
    work: Callable[[], tuple[int, Any, str]],
    as_json: bool,
    stopped: str,
    interrupts: tuple[type[BaseException], ...] = (KeyboardInterrupt, Stopped),
) -> int:
    """Do as `answer` does, with work that says which exit code it ends with.

    Args:
        work: Returns the code, a document, and words for people.
        as_json: Which of the two is wanted.
        stopped: How things stand when it was interrupted.
        interrupts: What an interruption may arrive as.
    """
    try:
        with aside(as_json), stoppable():
            code, document, said = work()
    except interrupts:
        return say(f"stopped; {stopped}", RETRY, as_json)
    if as_json:
        print_json(document)
    else:
        print(said)
    return code
