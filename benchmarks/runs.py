"""Runs that are kept: a benchmark of many small ones goes on where it was interrupted."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

import autotune as at
from autotune.events import CONFIRM, Event, PhaseStarted
from autotune.history import History
from benchmarks.machine import machine

R = TypeVar("R")


def kept(file: Path, kind: type[R]) -> dict[R, dict[str, Any]]:
    """Finished runs; those that failed are tried again.

    Args:
        file: A row of JSON on each line.
        kind: A frozen dataclass whose fields are among a row's.
    """
    lines = file.read_text().splitlines() if file.exists() else []
    names = [one.name for one in dataclasses.fields(kind)]  # type: ignore[arg-type]
    rows = [row for row in map(json.loads, lines) if "failed" not in row]
    return {kind(**{name: row[name] for name in names}): row for row in rows}


def keep(file: Path, row: Mapping[str, Any]) -> None:
    """Add the row of a finished run, with the day and the processor: rows of one file may differ in them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    where = {"day": time.strftime("%Y-%m-%d"), "processor": machine()["processor"]}
    with file.open("a") as out:
        out.write(json.dumps({**row, **where}, default=str) + "\n")


def searched(study: at.Study) -> History:
    """What a study knows when its search has ended; nothing of its confirmation is begun."""
    seen: list[History] = []

    def watch(history: History, event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == CONFIRM:
            seen.append(history)
            raise KeyboardInterrupt

    try:
        study.run(watch)
    except KeyboardInterrupt:
        if not seen:
            raise
    return seen[0]


def measure(
    wanted: Sequence[R], file: Path, work: Callable[[R], dict[str, Any]], workers: int, **pool: Any
) -> list[dict[str, Any]]:
    """Rows of all runs, in their order; what the file lacks is measured and written as it comes.

    Args:
        wanted: At least one run.
        file: Where rows are kept.
        work: Gives a run's row, which holds its fields.
        workers: Processes.
        pool: Further arguments of `ProcessPoolExecutor`.
    """
    done = kept(file, type(wanted[0]))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, **pool) as processes:
        begun = {processes.submit(work, run): run for run in wanted if run not in done}
        for future in as_completed(begun):
            done[begun[future]] = future.result()
            keep(file, future.result())
    return [done[run] for run in wanted]
