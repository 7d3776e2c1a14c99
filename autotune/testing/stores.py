"""The contract of a store, as a suite to subclass."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from autotune.storage.store import Store

LARGE = bytes(range(256)) * 48 * 1024  # 12 MiB, which goes in several parts


class StoreContract:
    """Subclass it, and override `store` to return an empty store."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("override the fixture `store`")

    def test_what_is_put_is_got(self, store: Store) -> None:
        assert store.get("a/b") is None
        store.put("a/b", b"first")
        store.put("a/b", b"second")
        store.put("a/empty", b"")
        assert store.get("a/b") == b"second"
        assert store.get("a/empty") == b""
        assert store.get("a") is None  # a folder is no content
        assert store.get_all(["a/empty", "c", "a/b"]) == [b"", None, b"second"]

    def test_a_file_is_put_whole(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "large").write_bytes(LARGE)
        store.put("some/large", tmp_path / "large")
        assert store.get("some/large") == LARGE
        with pytest.raises(FileNotFoundError):
            store.put("some/large", tmp_path / "gone")
        assert store.get("some/large") == LARGE

    def test_a_name_is_created_once(self, store: Store) -> None:
        assert store.put_new("a", b"mine")
        assert store.put_new("a", b"mine")  # an answer that was lost is asked for again
        assert not store.put_new("a", b"yours")
        assert store.get("a") == b"mine"
        store.delete("a")
        assert store.put_new("a", b"yours")

    def test_of_all_who_create_one_succeeds(self, store: Store) -> None:
        created = []
        together = threading.Barrier(6)

        def create(number: int) -> None:
            together.wait()
            if store.put_new("raced", str(number).encode()):
                created.append(number)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [str(number).encode() for number in created] == [store.get("raced")]

    def test_names_are_those_of_the_folder(self, store: Store) -> None:
        assert store.names() == store.names("trial-1") == []
        for name in ("trial-1/b/x", "trial-1/a", "trial-10/a", "top"):
            store.put(name, b"")
        assert store.names("trial-1") == ["trial-1/a", "trial-1/b/x"]
        assert store.names("trial-1/b") == ["trial-1/b/x"]
        assert store.names() == ["top", "trial-1/a", "trial-1/b/x", "trial-10/a"]

    def test_parts_are_of_the_content_that_is_meant(self, store: Store) -> None:
        store.put("a/b", b"0123456789")
        (found,) = store.look("a")
        assert (found.name, found.size) == ("a/b", 10)
        assert store.part("a/b", 2, 3) == b"234"
        assert store.part("a/b", 8, 20, found.tag) == b"89"
        assert store.part("a/c", 0, 1) is None
        time.sleep(0.01)  # a disk knows by the time
        store.put("a/b", b"abcdefghij")
        assert store.part("a/b", 2, 3) == b"cde"
        assert store.part("a/b", 2, 3, found.tag) is None
        assert store.look("a")[0].tag != found.tag

    def test_what_is_deleted_is_gone(self, store: Store) -> None:
        for name in ("a/1", "a/2", "a/3"):
            store.put(name, b"x")
        store.delete("a/1", "a/3", "never/there")
        store.delete()
        assert store.names() == ["a/2"]
        assert store.get("a/1") is None
