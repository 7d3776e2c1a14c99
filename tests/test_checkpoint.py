import contextlib
import json

import pytest

from autotune.checkpoint import CheckpointStore
from autotune.errors import CheckpointError, StorageError
from autotune.testing.checkpoints import TENSORS, CheckpointContract


class TestCheckpointStore(CheckpointContract):
    @pytest.fixture
    def store(self, tmp_path):
        return CheckpointStore(tmp_path / "deep" / "checkpoints")


def test_a_path_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = CheckpointStore(tmp_path / "file" / "checkpoints")
    with pytest.raises(
        StorageError, match=r"cannot write to .*file/checkpoints.*Not a directory; give a storage"
    ):
        store.probe()
    with pytest.raises(StorageError, match="cannot save a checkpoint in"):
        store.save(0, 1.0, TENSORS, {}, epoch=1)


def test_probing_leaves_nothing(tmp_path):
    CheckpointStore(tmp_path).probe()
    assert list(tmp_path.iterdir()) == []


def test_a_newer_format_is_not_guessed_at(tmp_path):
    store = CheckpointStore(tmp_path)
    path = store.save(0, 1.0, TENSORS, {}, epoch=1).path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        store.latest(0)


@pytest.mark.parametrize("stage", range(12))
def test_a_crash_while_saving_leaves_the_one_before(tmp_path, monkeypatch, stage):
    """Dying at any system call that saving makes leaves either the old checkpoint or the new one."""
    store = CheckpointStore(tmp_path)
    store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1)
    calls = 0

    def dying(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls > stage:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", dying(__import__("os").fsync))
        patch.setattr("pathlib.Path.rename", dying(__import__("pathlib").Path.rename))
        patch.setattr("pathlib.Path.mkdir", dying(__import__("pathlib").Path.mkdir))
        with contextlib.suppress(KeyboardInterrupt):
            store.save(0, 2.0, TENSORS, {"at": 2}, epoch=1)
    assert store.latest(0).state in ({"at": 1}, {"at": 2})
    monkeypatch.setattr("autotune.checkpoint.local.ABANDONED_S", 0.0)  # long ago
    store.prune(0, store.save(0, 3.0, TENSORS, {"at": 3}, epoch=1))
    assert [place.name.partition("~")[0] for place in store.folder(0).iterdir()] == ["e000001-f3.0"]
