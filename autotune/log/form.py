"""What a trial log is written as, wherever it is kept.

A log is a folder of segments, `EEEEEE-SSSSSS.jsonl`: the E-th driver's S-th. The first line of a segment says
after how many events it continues, so that whatever an older driver still writes afterwards is not part of
the log. Each further line is one commit, whole or void: some events (`e`), how many there are by then (`n`),
the hash of them and everything before them (`h`), and the time (`t`), which no decision
reads but that a budget of hours is over.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autotune.errors import FolderError, LogError
from autotune.events import Event, from_json, to_json

FORMAT: Final = 1
SEGMENT: Final = re.compile(r"(\d{6,})-(\d{6,})\.jsonl")  # a store has one for each commit


@dataclass(frozen=True)
class Tail:
    """Where a log ends: the number of events, and the hash of them all."""

    sequence: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Commit:
    """Events that were written together.

    Attributes:
        time_s: When, in seconds since 1970 by the driver's clock; for people, and for a budget of hours.
        events: What happened.
        tail: Where the log ended with them.
    """

    time_s: float
    events: list[Event]
    tail: Tail


@dataclass(frozen=True)
class Segment:
    """A segment that holds something.

    Attributes:
        epoch: The driver that wrote it.
        path: What to call it.
        after: The number of events that it continues after.
        lines: Gives the lines of its commits, each call from the first.
    """

    epoch: int
    path: str
    after: int
    lines: Callable[[], Iterator[str]]


def name(epoch: int, part: int) -> str:
    """What a segment is called."""
    return f"{epoch:06d}-{part:06d}.jsonl"


def first_line(after: int) -> str:
    """The first line of a segment that continues after so many events."""
    return json.dumps({"format": FORMAT, "after": after}) + "\n"


def header(line: str, path: str) -> dict[str, Any]:
    """What a first line says; empty when its writer died while creating it.

    Raises:
        FolderError: When the format is newer.
    """
    try:
        found: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return {}
    if found.get("format") != FORMAT:
        raise FolderError(
            f"{path} has log format {found.get('format')!r}; this autotune reads format {FORMAT}: "
            "upgrade autotune, or choose another study folder"
        )
    return found


def chained(tail: Tail, events: Sequence[Event], now: float) -> tuple[str, Tail]:
    """The line of a commit, and where the log ends with it."""
    body = json.dumps([to_json(event) for event in events], allow_nan=False, separators=(",", ":"))
    after = Tail(tail.sequence + len(events), _chain(tail.digest, body))
    return f'{{"n":{after.sequence},"h":"{after.digest}","t":{now:.3f},"e":{body}}}\n', after


def commits(segments: Sequence[Segment]) -> Iterator[Commit]:
    """The commits of all segments, which are sorted by name.

    Raises:
        LogError: When an event before the last is damaged, or a segment is missing.
    """
    tail = Tail()
    fences = _fences(segments)
    for segment in segments:
        fence = fences[segment.epoch]
        if segment.after >= fence:
            continue
        if segment.after != tail.sequence:
            raise LogError(
                f"{segment.path} continues after event {segment.after}, but the log ends at {tail.sequence}: "
                "a segment is missing; restore it from a backup"
            )
        lines = segment.lines()
        for line in lines:
            parsed = _parse(line, tail)
            if parsed is None and line.endswith("\n") and next(lines, ""):
                raise LogError(
                    f"{segment.path} is damaged after event {tail.sequence}: restore it from a backup"
                )
            if parsed is None or parsed.tail.sequence > fence:
                break  # a half-written last line never happened; neither did what a replaced driver wrote
            tail = parsed.tail
            yield parsed


def _fences(segments: Sequence[Segment]) -> dict[int, float]:
    """By driver, where the next one took over: everything that it still wrote beyond is void."""
    fences: dict[int, float] = {}
    fence, lowest = math.inf, math.inf
    for segment in reversed(segments):
        if segment.epoch not in fences:
            fence = fences[segment.epoch] = min(fence, lowest)
        lowest = min(lowest, segment.after)
    return fences


def _chain(digest: str, body: str) -> str:
    return hashlib.sha256((digest + body).encode()).hexdigest()[:32]


def _parse(line: str, tail: Tail) -> Commit | None:
    try:
        record = json.loads(line)
        body = line[line.index('"e":') + 4 : line.rindex("}")]
    except ValueError:
        return None
    after = Tail(tail.sequence + len(record["e"]), _chain(tail.digest, body))
    if not line.endswith("\n") or record["n"] != after.sequence or record["h"] != after.digest:
        return None
    return Commit(float(record.get("t", 0.0)), [from_json(event) for event in record["e"]], after)
