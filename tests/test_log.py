"""The trial log: what is written is read, what is half-written never happened, and one writer at a time."""

import errno
import math
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autotune.log.form
from autotune.errors import FolderError, LockedError, LogError, StorageError
from autotune.events import Assigned, Concluded, DriverStarted, Opened, Proposed, Reported, from_json, to_json
from autotune.ledger import Charge, Label, Ledger
from autotune.log import TrialLog, read_events
from autotune.testing.logs import TrialLogContract


class TestTrialLog(TrialLogContract):
    @pytest.fixture
    def opened(self):
        return TrialLog

    @pytest.fixture
    def read(self):
        return read_events


OPENED = Opened({"name": "s", "rungs": [1.0, 3.0]})


def reported(n, score=0.5):
    return Reported(n, n, 0, 1.0, score, {"accuracy": score}, Ledger({Label.TRAIN: Charge(2.0, 0.1)}))


def written(folder):
    return sorted(folder.glob("*.jsonl"))


def test_events_come_back_as_they_were_written(tmp_path):
    events = [
        OPENED,
        Proposed(0, {"lr": 0.1, "policy": "full"}, 7, "TPE"),
        Assigned(0, 0, 0, 0.0, 1.0),
        reported(0),
    ]
    log = TrialLog(tmp_path)
    log.append(events[0])
    log.append(*events[1:])
    log.close()
    assert list(read_events(tmp_path)) == events


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_scores_survive_json_whatever_they_are(score):
    back = from_json(to_json(reported(0, score)))
    assert back.score == score or (math.isnan(back.score) and math.isnan(score))


def test_a_second_writer_is_refused_until_the_first_lets_go(tmp_path):
    log = TrialLog(tmp_path)
    with pytest.raises(LockedError, match="another driver"):
        TrialLog(tmp_path)
    log.close()
    TrialLog(tmp_path).close()


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.EWOULDBLOCK, LockedError, "another driver owns"),
        (errno.ENOLCK, StorageError, "keeps no locks"),
        (errno.EOPNOTSUPP, StorageError, "choose a path on a local disk"),
    ],
)
def test_a_file_system_without_locks_is_told_from_another_driver(tmp_path, monkeypatch, number, kind, text):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(kind, match=text):
        TrialLog(tmp_path)


@settings(max_examples=25)
@given(st.integers(1, 200))
def test_a_truncated_last_commit_never_happened(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("log")
    log = TrialLog(folder)
    log.append(OPENED)
    log.append(reported(0))
    log.append(reported(1), reported(2))
    log.close()
    (segment,) = written(folder)
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-1]) + lines[-1][: -min(cut, len(lines[-1]))])
    assert list(read_events(folder)) == [OPENED, reported(0)]
    again = TrialLog(folder)
    assert list(again.read()) == [OPENED, reported(0)]
    again.append(reported(3))
    again.close()
    assert list(read_events(folder)) == [OPENED, reported(0), reported(3)]


def test_damage_in_the_middle_is_an_error_not_a_shorter_log(tmp_path):
    log = TrialLog(tmp_path)
    for n in range(4):
        log.append(reported(n))
    log.close()
    (segment,) = written(tmp_path)
    segment.write_text(segment.read_text().replace('"trial":1', '"trial":8'))
    with pytest.raises(LogError, match="damaged after event 1"):
        list(read_events(tmp_path))
    for use in (lambda log: list(log.read()), lambda log: log.append(reported(9))):
        owned = TrialLog(tmp_path)  # which closes when it meets the damage: the next can be opened at once
        with pytest.raises(LogError, match="damaged after event 1"):
            use(owned)
    assert written(tmp_path) == [segment]


def test_what_a_replaced_driver_still_writes_is_void(tmp_path):
    old = TrialLog(tmp_path)
    old.append(OPENED)
    (segment,) = written(tmp_path)
    old._lock.close()  # as a network file system that forgets its locks would
    new = TrialLog(tmp_path)
    assert list(new.read()) == [OPENED]
    before = segment.read_bytes()
    new.append(DriverStarted(2))
    with pytest.raises(LockedError, match="newer driver"):
        old.append(reported(0))
    # and even if it wrote at the very same moment
    late = TrialLog(tmp_path.parent / "late")
    late.append(OPENED)
    late.append(reported(5))
    late.close()
    segment.write_bytes(
        before + written(tmp_path.parent / "late")[0].read_bytes().splitlines(keepends=True)[-1]
    )
    assert list(read_events(tmp_path)) == [OPENED, DriverStarted(2)]
    new.close()
    old.close()


def test_a_newer_format_is_refused(tmp_path):
    (tmp_path / "000001-000000.jsonl").write_text('{"format": 99, "after": 0}\n')
    with pytest.raises(FolderError, match="upgrade autotune"):
        list(read_events(tmp_path))


def test_an_unknown_event_is_refused():
    with pytest.raises(FolderError, match="newer autotune"):
        from_json({"event": "Teleported"})


def test_a_missing_segment_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("autotune.log.local.ROLL_BYTES", 200)
    log = TrialLog(tmp_path)
    for n in range(6):
        log.append(reported(n))
    log.close()
    assert len(written(tmp_path)) > 2
    assert list(read_events(tmp_path)) == [reported(n) for n in range(6)]
    written(tmp_path)[1].unlink()
    with pytest.raises(LogError, match="a segment is missing"):
        list(read_events(tmp_path))


def test_a_path_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another path"):
        TrialLog(tmp_path / "file" / "log")


def test_a_half_created_segment_holds_nothing(tmp_path):
    log = TrialLog(tmp_path)
    log.append(OPENED)
    log.close()
    Path(tmp_path / "000002-000000.jsonl").write_text('{"form')
    assert list(read_events(tmp_path)) == [OPENED]
    again = TrialLog(tmp_path)
    assert again.epoch == 3
    again.append(DriverStarted(3))
    again.close()
    assert list(read_events(tmp_path)) == [OPENED, DriverStarted(3)]


def test_a_full_disk_is_told_once_and_loses_nothing(tmp_path):
    log = TrialLog(tmp_path)
    log.append(OPENED)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (written(tmp_path)[0].stat().st_size + 10, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot append"):
            log.append(reported(0))
        log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(read_events(tmp_path)) == [OPENED]
    again = TrialLog(tmp_path)
    again.append(DriverStarted(2))
    again.close()
    assert list(read_events(tmp_path)) == [OPENED, DriverStarted(2)]


def test_a_log_that_cannot_be_read_stays_unlocked(tmp_path):
    (tmp_path / "000001-000000.jsonl").write_text('{"format": 99, "after": 0}\n')
    with pytest.raises(FolderError) as kept:  # and with it every frame that holds the log
        TrialLog(tmp_path)
    (tmp_path / "000001-000000.jsonl").unlink()
    TrialLog(tmp_path).close()
    assert "upgrade" in str(kept.value)


def test_a_reader_that_meets_a_commit_half_way_sees_no_damage(tmp_path, monkeypatch):
    log = TrialLog(tmp_path)
    log.append(OPENED)
    log.append(reported(0))
    log.close()
    (path,) = written(tmp_path)
    whole = path.read_text()
    path.write_text(whole[:-20])
    parse = autotune.log.form._parse

    def writing_on(line, tail):
        if not line.endswith("\n"):
            path.write_text(whole)
        return parse(line, tail)

    monkeypatch.setattr(autotune.log.form, "_parse", writing_on)
    assert list(read_events(tmp_path)) == [OPENED]
    assert list(read_events(tmp_path)) == [OPENED, reported(0)]


def test_a_new_driver_builds_on_what_is_on_the_disk(tmp_path, monkeypatch):
    """An earlier one may have been killed between writing its last line and synchronising it."""
    first = TrialLog(tmp_path)
    first.append(OPENED)
    first.close()
    [earlier] = written(tmp_path)
    synchronised, fsync = [], os.fsync
    monkeypatch.setattr("os.fsync", lambda file: synchronised.append(os.fstat(file).st_ino) or fsync(file))
    second = TrialLog(tmp_path)
    second.append(reported(1))
    second.append(reported(2))
    second.close()
    later = written(tmp_path)[-1]
    assert synchronised[0] == earlier.stat().st_ino
    assert synchronised.count(earlier.stat().st_ino) == 1
    assert synchronised[1:].count(later.stat().st_ino) == 2


@pytest.mark.parametrize("change", [{"ledger": {"napping": [1.0, 1.0]}}, {"score": "high"}, {"more": 1}])
def test_events_of_another_version_are_refused_in_words(change):
    with pytest.raises(FolderError, match="another version of autotune"):
        from_json(to_json(reported(0)) | change)


def test_a_verdict_has_numbers_wherever_it_is_read():
    verdict = {"comparisons": [{"mean": math.nan}], "winner": {"config": {"mode": "nan"}, "test": [math.inf]}}
    back = from_json(to_json(Concluded(3, verdict))).verdict
    assert math.isnan(back["comparisons"][0]["mean"])
    assert back["winner"] == verdict["winner"]
