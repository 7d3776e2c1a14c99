"""The contract of a trial log, as a suite to subclass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from autotune.errors import LockedError
from autotune.events import Assigned, Event, Opened, Proposed, Reported
from autotune.ledger import Charge, Label, Ledger


class WritableLog(Protocol):
    """What the study's loop needs of a log."""

    epoch: int

    def append(self, *events: Event) -> None:
        """Write events, all of them or none."""

    def read(self) -> Iterator[Event]:
        """What was there when it was opened, once."""

    def close(self) -> None:
        """Give up ownership."""


EVENTS: tuple[Event, ...] = (
    Opened({"name": "s", "rungs": [1.0, 3.0]}),
    Proposed(0, {"lr": 0.1, "policy": "full", "deep": True, "width": 3}, 7, "TPE"),
    Assigned(0, 0, 0, 0.0, 1.0),
    Reported(0, 0, 0, 1.0, 0.5, {"accuracy": 0.5}, Ledger({Label.TRAIN: Charge(2.0, 0.1)}), 1, "a100"),
)


class TrialLogContract:
    """Subclass it, and override `opened` (open for writing) and `read` (without owning it)."""

    @pytest.fixture
    def opened(self) -> Callable[[Path], WritableLog]:
        raise NotImplementedError("override the fixture `opened`")

    @pytest.fixture
    def read(self) -> Callable[[Path], Iterable[Event]]:
        raise NotImplementedError("override the fixture `read`")

    def test_what_is_appended_is_read(
        self, tmp_path: Path, opened: Callable[[Path], WritableLog], read: Callable[[Path], Iterable[Event]]
    ) -> None:
        log = opened(tmp_path)
        log.append(EVENTS[0])
        assert list(read(tmp_path)) == [EVENTS[0]]  # at once, while it is open
        log.append(*EVENTS[1:])
        log.close()
        assert list(read(tmp_path)) == list(EVENTS)

    def test_appending_nothing_writes_nothing(
        self, tmp_path: Path, opened: Callable[[Path], WritableLog], read: Callable[[Path], Iterable[Event]]
    ) -> None:
        log = opened(tmp_path)
        log.append()
        log.close()
        assert list(read(tmp_path)) == []

    def test_a_later_driver_has_a_higher_epoch_and_goes_on_at_the_end(
        self, tmp_path: Path, opened: Callable[[Path], WritableLog], read: Callable[[Path], Iterable[Event]]
    ) -> None:
        epochs = []
        for event in EVENTS:
            log = opened(tmp_path)
            epochs.append(log.epoch)
            log.append(event)
            log.close()
        assert epochs == sorted(set(epochs))
        assert list(read(tmp_path)) == list(EVENTS)

    @pytest.mark.parametrize("some", range(len(EVENTS) + 1))
    def test_what_was_there_is_given_out_once_and_written_after_however_much_was_taken(
        self,
        tmp_path: Path,
        opened: Callable[[Path], WritableLog],
        read: Callable[[Path], Iterable[Event]],
        some: int,
    ) -> None:
        log = opened(tmp_path)
        assert list(log.read()) == []
        log.append(EVENTS[0])
        log.append(*EVENTS[1:])
        assert list(log.read()) == []  # what it wrote itself its owner knows
        log.close()
        log = opened(tmp_path)
        assert list(itertools.islice(log.read(), some)) == list(EVENTS[:some])
        log.append(EVENTS[-1])
        log.close()
        assert list(read(tmp_path)) == [*EVENTS, EVENTS[-1]]

    def test_there_is_one_writer(self, tmp_path: Path, opened: Callable[[Path], WritableLog]) -> None:
        log = opened(tmp_path)
        with pytest.raises(LockedError):
            opened(tmp_path)
        log.close()
        log.close()
        opened(tmp_path).close()
