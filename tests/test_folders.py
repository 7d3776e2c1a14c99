"""Folders that are there whole or not at all."""

import os
import time

import pytest

from autotune.errors import StorageError
from autotune.folders import ABANDONED_S, MANIFEST, contents, manifest, partial, publish, storage, sweep

FILES = {"a.bin": b"\x00\x01", "b.json": b"{}"}


def test_what_was_published_is_read(tmp_path):
    publish(tmp_path / "deep" / "one", FILES, {"format": 1})
    assert contents(tmp_path / "deep" / "one", "a.bin", "b.json") == FILES
    assert contents(tmp_path / "deep" / "one", "b.json") == {"b.json": b"{}"}
    assert manifest(tmp_path / "deep" / "one")["format"] == 1


def test_one_of_that_name_is_replaced(tmp_path):
    publish(tmp_path / "one", FILES, {"format": 1})
    publish(tmp_path / "one", {"c": b"new"}, {"format": 2})
    assert contents(tmp_path / "one", "c") == {"c": b"new"}
    assert contents(tmp_path / "one", "a.bin") is None
    sweep(tmp_path, 0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("name", ["a.bin", "b.json", MANIFEST])
@pytest.mark.parametrize("content", [None, b"", b"damaged", b"[]", b'{"sha256": 1}'])
def test_what_is_damaged_is_not_there(tmp_path, name, content):
    publish(tmp_path / "one", FILES, {})
    path = tmp_path / "one" / name
    path.unlink() if content is None else path.write_bytes(content)
    assert contents(tmp_path / "one", *FILES) is None
    assert name == MANIFEST or contents(tmp_path / "one", *(FILES.keys() - {name})) is not None


def test_nobody_sees_a_folder_that_is_being_written(tmp_path):
    class Interrupted(dict):
        def items(self):
            yield "a.bin", b"half of it"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "one", Interrupted(), {})
    assert not (tmp_path / "one").exists()
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_may_still_be_writing_is_left(tmp_path):
    half = partial(tmp_path)
    half.mkdir()
    sweep(tmp_path, ABANDONED_S)
    assert half.is_dir()
    long_ago = time.time() - ABANDONED_S
    os.utime(half, (long_ago, long_ago))
    sweep(tmp_path, ABANDONED_S)
    assert not half.exists()


def test_names_in_passing_are_never_the_same(tmp_path):
    assert partial(tmp_path) != partial(tmp_path)


def test_a_path_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").touch()
    text = r"cannot write to .*file: .*; give a storage path that can be"
    with pytest.raises(StorageError, match=text), storage("write to", tmp_path / "file"):
        publish(tmp_path / "file" / "one", FILES, {})
