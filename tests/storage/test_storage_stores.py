"""Stores of all kinds keep one contract, and say what is wrong."""

import contextlib
import pickle
import socket
import subprocess
import sys
import time
import urllib.request
import uuid

import pytest

from autotune.errors import ConfigurationError, RefusedError, StorageError
from autotune.storage import patient
from autotune.storage.local import LocalStore
from autotune.storage.location import Remote, locate
from autotune.storage.objects import ObjectStore
from autotune.storage.opening import store_at
from autotune.storage.patient import Patient
from autotune.testing.stores import StoreContract


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path / "deep" / "store")


class TestObjectStore(StoreContract):
    """Our client against as much of S3 as it speaks."""

    @pytest.fixture
    def store(self, server):
        return store_at(locate(server.address("deep/prefix")))


class TestPatient(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return Patient(LocalStore(tmp_path))


@pytest.fixture(scope="module")
def moto():
    """The port of a moto server."""
    pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        assert process.poll() is None, f"{command} has ended with {process.returncode}"
        yield port
        process.kill()


class TestMoto(StoreContract):
    """The same against somebody else's idea of S3."""

    @pytest.fixture
    def store(self, moto):
        bucket = f"bucket-{uuid.uuid4()}"
        asked = urllib.request.Request(f"http://127.0.0.1:{moto}/{bucket}", method="PUT")
        with urllib.request.urlopen(asked):
            pass
        return store_at(locate(f"s3://{bucket}/prefix?endpoint=http://127.0.0.1:{moto}&region=us-east-1"))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("s4://bucket/x", "unknown kind of storage 's4'; known: .*s3"),
        ("s3:///x", "names no bucket"),
        ("s3://key:secret@bucket/x", "no credentials"),
        ("s3://bucket/x?secret_access_key=abc", "no credentials"),
    ],
)
def test_an_address_that_cannot_be_used_says_why_and_repeats_no_secret(written, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        locate(written)
    assert "abc" not in str(caught.value)
    assert "key:secret" not in str(caught.value)


def test_an_address_survives_being_written_down(tmp_path):
    place = locate("s3://bucket/a/b/?region=eu&endpoint=http://127.0.0.1:9")
    assert locate(str(place)) == place
    assert locate(f"file://{tmp_path}") == tmp_path == locate(tmp_path)
    assert isinstance(locate("abfs://container@account/x"), Remote)


def test_a_pickled_store_is_its_address(server):
    store = store_at(locate(server.address("x")))
    store.put("a", b"1")
    make, given = store.__reduce__()
    assert b"nothing" not in pickle.dumps(store)  # the secret
    assert make(*given).get("a") == b"1"


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        ("503", StorageError, "SlowDown"),
        ("507", StorageError, "InsufficientStorage"),
        ("403", RefusedError, "AccessDenied"),
        ("stall", StorageError, "error sending request"),
    ],
)
def test_what_a_store_says_is_told_in_a_line(server, given_up_early, fault, kind, told):
    store = store_at(locate(server.address("x")))
    server.break_down(fault)
    with pytest.raises(StorageError, match=f"cannot write to s3://bucket/x.*{told}") as caught:
        store.put("a", b"1")
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_no_such_bucket_is_refused(server):
    place = Remote("s3://nowhere", "x", locate(server.address()).options)
    with pytest.raises(RefusedError, match="NoSuchBucket"):
        ObjectStore(place).put("a", b"1")
    with pytest.raises(RefusedError, match="NoSuchBucket"):
        Patient(ObjectStore(place), patience_s=60.0).names()


@pytest.mark.parametrize("fault", ["stall", "503", "507", "403", "cut", "lost"])
def test_whatever_happens_to_a_store_is_waited_out(server, given_up_early, fault, caplog, monkeypatch):
    """Also that an answer that was lost does not make a name somebody else's."""
    monkeypatch.setattr("autotune.storage.patient.SILENT_S", 0.1)

    def beat():
        if "nothing is lost" in caplog.text:
            server.mend()

    store = Patient(store_at(locate(server.address("x"))), beat)
    server.break_down(fault)
    assert store.put_new("a", b"1" * 1000)
    store.put("a", b"2" * 1000)
    assert store.get("a") == b"2" * 1000
    assert "no longer waiting" in caplog.text


def test_what_has_arrived_is_not_asked_for_again(monkeypatch):
    class Flaky:
        def __init__(self):
            self.asked = []

        def get_all(self, names):
            self.asked.append(list(names))
            if len(self.asked) == 3:
                raise StorageError("away for a moment")
            return [name.encode() for name in names]

    monkeypatch.setattr(patient, "TOGETHER", 2)
    inner = Flaky()
    assert Patient(inner).get_all(iter("abcde")) == [b"a", b"b", b"c", b"d", b"e"]
    assert inner.asked == [["a", "b"], ["c", "d"], ["e"], ["e"]]


def test_an_address_has_no_fragment():
    with pytest.raises(ConfigurationError, match="no part after `#`"):
        locate("s3://bucket/run#2")
