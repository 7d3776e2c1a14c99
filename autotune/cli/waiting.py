"""Notes and progress on standard error for whoever waits."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, TextIO, final

from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_WHOLE: Final = 1.0


@final
class Waiting:
    """Tells of long work: notes always, a bar where there is a terminal; a context manager.

    Args:
        quiet: Tell nothing.
        stream: Where to; standard error, so that standard output stays for results.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._quiet = quiet
        self._terminal = Terminal(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Waiting:
        """Take the line, where there is one."""
        if not self._quiet and self._terminal.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._terminal, transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        if self._bar is not None:
            self._bar.stop()

    def note(self, text: str) -> None:
        """A sentence that a reader of the result needs."""
        if not self._quiet:
            self._terminal.print(f"autotune: {text}", markup=False)

    def at(self, what: str, share: float) -> None:
        """How much of a piece of work is done, from 0 to 1; 0 also where nobody knows."""
        if self._bar is None:
            return
        if what not in self._tasks:
            for task in self._tasks.values():  # one thing at a time
                self._bar.update(task, visible=False)
            self._tasks[what] = self._bar.add_task(what, total=_WHOLE if share > 0 else None)
        self._bar.update(
            self._tasks[what], completed=share, total=_WHOLE if share > 0 else None, visible=True
        )
