"""The log in a store: what was appended is there, whatever happens, and one driver writes."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.errors import LockedError, RefusedError
from autotune.events import Assigned, Opened
from autotune.log import StoredLog, TrialLog, open_log, read_events
from autotune.log import lease as leases
from autotune.storage.local import LocalStore
from autotune.storage.location import locate
from autotune.storage.store import Store
from autotune.testing.logs import TrialLogContract

OPENED = Opened({"name": "s"})


def assigned(number):
    return Assigned(number, number, 0, 0.0, 1.0)


class Died(Exception):  # noqa: N818 - no error of anybody's
    pass


class Dying(Store):
    """Dies before the request of that number, or right after it, when nobody hears that it succeeded."""

    def __init__(self, inner, after, done=False):
        self.inner, self.left, self.done = inner, after, done

    def _ask(self, name, *given):
        self.left -= 1
        if self.left < 0 and not (self.done and self.left == -1):
            raise Died
        answer = getattr(self.inner, name)(*given)
        if self.left < 0:
            raise Died
        return answer

    def put_new(self, name, content):
        return self._ask("put_new", name, content)

    def put(self, name, content):
        return self._ask("put", name, content)

    def get(self, name):
        return self._ask("get", name)

    def part(self, name, start, length, tag=""):
        return self._ask("part", name, start, length, tag)

    def look(self, under=""):
        return self._ask("look", under)

    def delete(self, *names):
        return self._ask("delete", *names)


class TestStoredLog(TrialLogContract):
    """A disk's reader reads it, too: what a bucket holds can be copied to a folder."""

    @pytest.fixture
    def opened(self):
        return lambda folder: StoredLog(LocalStore(folder), str(folder))

    @pytest.fixture
    def read(self):
        return read_events


def test_a_log_is_moved_between_a_disk_and_a_store(tmp_path):
    for number, make in enumerate((TrialLog, lambda path: StoredLog(LocalStore(path), "x"), TrialLog)):
        log = make(tmp_path)
        assert log.epoch == number + 1
        log.append(assigned(number))
        log.close()
    assert list(read_events(tmp_path)) == [assigned(0), assigned(1), assigned(2)]


@pytest.fixture
def elsewhere(monkeypatch):
    """Drivers on machines that cannot see each other's processes."""
    monkeypatch.setattr(leases, "process", lambda pid: None)


def test_a_driver_may_commit_more_than_a_million_times(tmp_path):
    log = StoredLog(LocalStore(tmp_path), "here")
    log._part = 999_999
    for number in range(3):
        log.append(assigned(number) if number else OPENED)
    log.close()
    following = StoredLog(LocalStore(tmp_path), "here")
    assert list(following.read()) == [OPENED, assigned(1), assigned(2)]
    following.close()


def test_a_driver_that_is_alive_elsewhere_is_left_alone(tmp_path, elsewhere):
    log = StoredLog(LocalStore(tmp_path), "s3://b/x", lease_s=0.4)
    with pytest.raises(LockedError, match="another driver owns the study in s3://b/x"):
        StoredLog(LocalStore(tmp_path), "s3://b/x", lease_s=60.0)  # ends with the first sign of life
    log.close()


def test_a_driver_that_was_replaced_writes_no_more(tmp_path, elsewhere, caplog):
    """Nothing acts on what it still wrote: it is told so at once, and no reader sees it."""
    lost = StoredLog(LocalStore(tmp_path), "x", lease_s=600.0)  # gives no sign of life in this test
    lost.append(OPENED)
    taking = StoredLog(LocalStore(tmp_path), "x", lease_s=0.2)
    assert "may be alive; waiting" in caplog.text
    with pytest.raises(LockedError, match="newer driver"):
        lost.append(assigned(7))
    before = LocalStore(tmp_path).names()
    with pytest.raises(LockedError, match="newer driver"):
        lost.append(assigned(8))
    assert LocalStore(tmp_path).names() == before  # refused without a request
    taking.append(assigned(1))
    assert list(read_events(tmp_path)) == [OPENED, assigned(1)]
    lost.close()
    taking.close()


def test_of_drivers_that_start_at_once_one_drives(tmp_path):
    def start():
        together.wait()
        try:
            logs.append(StoredLog(LocalStore(tmp_path), "x"))
        except LockedError as error:
            refused.append(error)

    together, logs, refused = threading.Barrier(4), [], []
    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(logs), len(refused)) == (1, 3)
    logs[0].close()


@given(after=st.integers(0, 12), done=st.booleans())
@settings(max_examples=26)
def test_a_driver_that_dies_at_any_request_leaves_what_it_was_told_is_there(tmp_path_factory, after, done):
    folder = tmp_path_factory.mktemp("log")
    told, log = 0, None
    try:
        log = StoredLog(Dying(LocalStore(folder), after, done), "x", lease_s=600.0)
        for number in range(4):
            log.append(assigned(number))
            told = number + 1
    except Died:
        pass
    if log is not None:
        log._lease._ended.set()  # it is dead: no sign of life, no farewell
    there = list(read_events(folder))
    assert there in ([assigned(n) for n in range(told)], [assigned(n) for n in range(told + 1)])
    for path in folder.glob("owner-*"):  # this process lives on, the driver does not
        path.write_text(path.read_text().replace('"runs"', '"left"').replace('"tests"', '"left"'))
    following = StoredLog(LocalStore(folder), "x")
    following.append(assigned(99))
    following.close()
    assert list(read_events(folder)) == [*there, assigned(99)]


@pytest.mark.parametrize("fault", ["stall", "503", "cut", "lost"])
def test_what_is_appended_while_the_store_is_away_is_there_once(server, given_up_early, fault):
    place = locate(server.address("study/log"))
    log = open_log(place)
    log.append(OPENED)
    server.break_down(fault)
    timer = threading.Timer(0.6, server.mend)
    timer.start()
    log.append(assigned(0))
    log.append(assigned(1))
    timer.join()
    log.close()
    assert list(read_events(place)) == [OPENED, assigned(0), assigned(1)]


@pytest.mark.parametrize("conditional", [False, None])
def test_a_store_without_conditions_is_told_of(server, caplog, conditional):
    server.conditional = conditional
    place = locate(server.address("study/log"))
    log = open_log(place)
    log.append(OPENED)
    with pytest.raises(LockedError):
        open_log(place)
    log.close()
    assert list(read_events(place)) == [OPENED]
    assert "signs of life alone" in caplog.text


def test_of_two_drivers_that_no_store_told_apart_one_goes_on(tmp_path):
    """Both believe that they have created the same name; the next sign of life tells."""
    first = StoredLog(LocalStore(tmp_path), "x", lease_s=0.4)
    LocalStore(tmp_path).delete("owner-000001.json")
    second = StoredLog(LocalStore(tmp_path), "x", lease_s=0.4)
    assert first.epoch == second.epoch == 1
    while not first._lease._replaced:
        first._lease._ended.wait(0.05)
    with pytest.raises(LockedError, match="newer driver"):
        first.append(OPENED)
    second.append(OPENED)
    first.close()
    second.close()
    assert list(read_events(tmp_path)) == [OPENED]


def test_a_store_that_says_no_is_not_waited_for(server):
    server.break_down("403")
    with pytest.raises(RefusedError, match="AccessDenied"):
        open_log(locate(server.address("study/log")))
