"""A study as it runs: a live display on a terminal, and a line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, TextIO, final

from rich.bar import Bar
from rich.console import Console as Terminal
from rich.console import RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from autotune.account import Bill
from autotune.events import SEARCH, Concluded, Event, Failed, Interrupted, LanesChosen, PhaseStarted
from autotune.history import History
from autotune.report.numbers import duration, epochs, money, number
from autotune.report.progress import Progress, progress
from autotune.report.view import StudyView
from autotune.report.words import PHASES, gaps

REDRAWS_PER_S: Final = 4
LEISURE: Final = 20  # a snapshot is followed by so many times its own duration without one
LINE_S: Final = 10.0  # between two lines where nobody watches
STYLES: Final = {
    "running": "cyan",
    "waiting": "yellow",
    "stopped": "yellow",
    "done": "green",
    "failed": "red",
}


@final
class Console:
    """An observer for `Study.run`; use it as a context manager, so that the terminal is given back.

    Args:
        stream: Where to write; standard error, so that standard output stays for results.
        quiet: Write nothing.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = Terminal(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._quiet = quiet
        self._clock = clock
        self._began = clock()
        self._next = 0.0
        self._latest: tuple[Progress, float | None, dict[str, int]] | None = None
        self._described: tuple[str, int] | None = None
        self._failures: dict[str, int] = {}
        self._start: float | None = None  # share of the budget that was used when this driver began

    def __enter__(self) -> Console:
        """Take the screen, where there is one."""
        if not self._quiet and self._terminal.is_terminal:
            self._live = Live(
                console=self._terminal, get_renderable=self._drawn, refresh_per_second=REDRAWS_PER_S
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the screen back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, history: History, event: Event) -> None:
        """Take in an event; most of them only count."""
        if self._quiet:
            return
        if isinstance(event, Failed | Interrupted):
            kind = event.kind if isinstance(event, Failed) else "interrupted"
            self._failures[kind] = self._failures.get(kind, 0) + 1
        if isinstance(event, LanesChosen):
            self._terminal.print(f"lanes of each worker: {event.lanes}; {event.reason}", markup=False)
            return
        milestone = isinstance(event, PhaseStarted | Concluded)
        now = self._clock()
        if now < self._next and not milestone:
            return
        self._take(history, now)
        ended = self._clock()
        self._next = ended + LEISURE * (ended - now)
        if self._live is not None:
            return
        self._next = max(self._next, now + LINE_S)
        if self._latest is not None:
            state, left, _ = self._latest
            text = line(state, event if milestone else None, now - self._began, left)
            self._terminal.print(text, markup=False)

    def _take(self, history: History, now: float) -> None:
        """Remember how things stand, so that the drawing thread never reads what still changes."""
        if self._described is None:
            view = StudyView(history)
            self._described = (view.metric, view.sign)
        elapsed = now - self._began
        hours = elapsed / 3600 if history.drivers <= 1 else None  # how long others have run is not known here
        state = progress(history, *self._described, hours)
        if self._start is None:
            self._start = state.share or 0.0
        self._latest = (state, remaining(state, self._start, elapsed), dict(self._failures))

    def _drawn(self) -> RenderableType:
        if self._latest is None:
            return Text("starting", "dim")
        state, left, failures = self._latest
        return _panel(state, self._clock() - self._began, left, failures)


def remaining(state: Progress, start: float, elapsed: float) -> float | None:
    """Seconds until the search has used up its budget, at the pace so far; None where that is unknown."""
    if state.phase != SEARCH or state.share is None or state.share - start < 0.02 or elapsed <= 0:
        return None
    if state.share >= 1.0:  # nothing more is begun, and when what runs will end is not known
        return None
    return elapsed * (1.0 - state.share) / (state.share - start)


def line(
    state: Progress,
    milestone: Event | None = None,
    elapsed: float | None = None,
    left: float | None = None,
) -> str:
    """The study's state on one line of plain text."""
    clock = "" if elapsed is None else f"[{duration(elapsed)}] "
    parts = [f"{clock}{state.name}: {PHASES.get(state.phase, state.phase)}"]
    if isinstance(milestone, PhaseStarted):
        parts.append(f"starts, because {milestone.reason}")
    counted = ", ".join(f"{count} {name}" for name, count in state.states.items() if count)
    parts.append(f"trials {counted}" if counted else "no trials yet")
    if state.confirmed[1]:
        parts.append(f"confirmations {state.confirmed[0]} ended of {state.confirmed[1]} started")
    parts.append(best(state))
    parts.append(f"spent {_spent(state)}")
    if left is not None:
        parts.append(f"search ends in about {duration(left)}")
    if state.bill is not None:
        parts.append(f"bill {_owed(state, state.bill)}")
    return "; ".join(part for part in parts if part)


def best(state: Progress) -> str:
    """The trial that leads, in words; empty when none does."""
    if state.best is None:
        return ""
    score = number(state.sign * state.best.score)
    fidelity = epochs(state.rungs[state.best.rung][0])
    return f"best {state.metric} {score} at {fidelity} (trial {state.best.number}, {state.best.arm})"


def _spent(state: Progress) -> str:
    limit = state.budget.get("epochs")
    search = state.spent.get(SEARCH, 0.0)
    budget = f" of {epochs(limit)}" if limit else ""
    parts = {"shared or lost": search - state.counted, "after it": state.epochs - search}
    beside = "".join(f", {epochs(value)} {name}" for name, value in parts.items() if value > 1e-9)
    return f"{epochs(state.counted)}{budget} on the search{beside}"


def _owed(state: Progress, bill: Bill) -> str:
    limit = state.budget.get("usd")
    return money(bill.total) + (f" of {money(limit)}" if limit else "")


def _panel(state: Progress, elapsed: float, left: float | None, failures: Mapping[str, int]) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column(ratio=1)
    limit = state.budget.get("trials")
    counted = Text(f"{sum(state.states.values())}" + (f" of {limit:g}" if limit else ""))
    for name, count in state.states.items():
        counted.append(f"   {count} {name}", STYLES[name] if count else "dim")
    if failures:
        counted.append("  (" + ", ".join(f"{count} {kind}" for kind, count in failures.items()) + ")", "dim")
    grid.add_row("trials", counted)
    most = max((count for _, count in state.rungs), default=0) or 1
    for fidelity, count in state.rungs:
        row = Table.grid(padding=(0, 1))
        row.add_row(Bar(most, 0, count, width=24, color="cyan"), Text(str(count)))
        grid.add_row(f"at {epochs(fidelity)}", row)
    grid.add_row("best", Text(best(state).removeprefix("best ") or "none yet", "bold"))
    if state.confirmed[1]:
        grid.add_row("confirm", f"{state.confirmed[0]} ended of {state.confirmed[1]} started")
    grid.add_row("compute", _spent(state))
    used = "" if state.share is None else f"{100 * state.share:.0f} % of the search budget"
    eta = "" if left is None else f"; search ends in about {duration(left)}, confirmation comes on top"
    grid.add_row("time", f"{duration(elapsed)}{'; ' if used else ''}{used}{eta}")
    if state.bill is not None:
        said = gaps(state.bill)
        grid.add_row("bill", _owed(state, state.bill) + (f" ({said})" if said else ""))
    title = Text.assemble((state.name, "bold"), " ", (PHASES.get(state.phase, state.phase), "dim"))
    return Panel(grid, title=title, title_align="left", border_style="dim")
