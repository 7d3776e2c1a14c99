"""The row of the matrix whose storage is away: a study that trains, in this process, at an object store."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from autotune.events import Event, Failed, Reported
from autotune.history import History
from autotune.log import read_events
from autotune.storage.location import locate
from tests.storage.fake_s3 import FakeS3
from tests.storage.tiny import study

from .reading import decisions, differing

OUTAGES: Final = (  # what requests meet (`FakeS3`), for how many seconds
    *(("stall", 5.0), ("stall", 20.0), ("stall", 60.0)),
    *(("503", 20.0), ("cut", 20.0), ("lost", 20.0), ("507", 20.0)),  # refused, cut and lost, full
)
KEYS: Final = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
BEGINS: Final = 9  # events before an outage: trials are under way, and have saved
TOLD_S: Final = 10.0  # what lasts longer must be told of


def outages(folder: Path) -> dict[str, Any]:
    """Each outage in a study of its own."""
    calm = folder / "calm"
    study(calm).run()
    with FakeS3() as server, patch.dict(os.environ, KEYS):
        found = {outage: _outage(server, outage, calm) for outage in OUTAGES}
    return {
        "faults": len(found),
        "trials_lost": sum(one["lost"] for one in found.values()),
        "different_decisions": sum(one["decisions"] for one in found.values()),
        "different_charges": sum(one["charges"] for one in found.values()),
        "charged_beyond_s": round(max(one["seconds"] for one in found.values()), 1),
        "untold": sum(seconds > TOLD_S and not one["told"] for (_, seconds), one in found.items()),
        "took_s": {f"{fault} {seconds:g}": one["took_s"] for (fault, seconds), one in found.items()},
    }


def _outage(server: FakeS3, outage: tuple[str, float], calm: Path) -> dict[str, Any]:
    fault, seconds = outage
    address, heard, seen = server.address(f"{fault}-{seconds:g}"), _Heard(), 0
    timer = threading.Timer(seconds, server.mend)

    def observe(history: History, event: Event) -> None:
        nonlocal seen
        seen += 1
        if seen == BEGINS:
            server.break_down(fault)
            timer.start()

    logging.getLogger("autotune").addHandler(heard)
    began = time.monotonic()
    try:
        study(address).run(observe)
    finally:
        logging.getLogger("autotune").removeHandler(heard)
        timer.join()
    took_s = time.monotonic() - began
    log = locate(address) / "log"
    return {
        "lost": sum(isinstance(event, Failed) for event in read_events(log)),
        "decisions": differing(decisions(calm / "log"), decisions(log)),
        "charges": differing(_charges(calm / "log"), _charges(log)),
        "seconds": _seconds(log) - _seconds(calm / "log"),
        "told": len(heard.texts),
        "took_s": round(took_s, 1),
    }


def _seconds(log: Any) -> float:
    """All that trials were charged with."""
    return sum(event.ledger.total.seconds for event in read_events(log) if isinstance(event, Reported))


def _charges(log: Any) -> list[tuple[int, int, float, float]]:
    """What each answer scored, and what its trial was charged with."""
    return [
        (event.trial, event.rung, event.score, event.ledger.total.flops)
        for event in read_events(log)
        if isinstance(event, Reported)
    ]


class _Heard(logging.Handler):
    """What the study's user is told."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
