"""The contract of a checkpoint store, as a suite to subclass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autotune.checkpoint import CheckpointStore
from autotune.errors import CheckpointError

TENSORS = {
    "model/weight": torch.arange(6.0).reshape(2, 3),
    "generator": torch.arange(16, dtype=torch.uint8),
    "steps": torch.tensor(7),
}


class CheckpointContract:
    """Subclass it, and override `store` to return an empty store."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> CheckpointStore:
        raise NotImplementedError

    def test_an_unknown_trial_has_none(self, store: CheckpointStore) -> None:
        assert store.latest(3) is None
        assert store.state(3) is None
        assert store.newest(3) is None
        store.prune(3)

    def test_what_is_saved_is_what_is_read(self, store: CheckpointStore) -> None:
        state = {"progress": 0.1 + 0.2, "names": ["a"], "none": None}
        store.save(3, 0.1, TENSORS, state, epoch=1)
        read = store.latest(3)
        assert read is not None
        assert (read.trial, read.fidelity, read.epoch, dict(read.state)) == (3, 0.1, 1, state)
        assert read.tensors.keys() == TENSORS.keys()
        assert store.state(3) == state
        for name, tensor in TENSORS.items():
            assert read.tensors[name].dtype == tensor.dtype
            assert torch.equal(read.tensors[name], tensor)

    def test_the_newest_is_the_furthest(self, store: CheckpointStore) -> None:
        for fidelity in (0.9, 10.0, 2.0):
            store.save(0, fidelity, TENSORS, {"at": fidelity}, epoch=1)
        read, place = store.latest(0), store.newest(0)
        assert read is not None
        assert place is not None
        assert read.fidelity == place.fidelity == 10.0

    def test_saving_again_at_the_same_place_replaces(self, store: CheckpointStore) -> None:
        store.save(0, 0.5, TENSORS, {"try": 1}, epoch=1)
        store.save(0, 0.5, TENSORS, {"try": 2}, epoch=1)
        read = store.latest(0)
        assert read is not None
        assert read.state == {"try": 2}

    @pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "manifest.json"])
    @pytest.mark.parametrize("damage", ["missing", "short", "changed"])
    def test_a_damaged_one_is_passed_over(self, store: CheckpointStore, file: str, damage: str) -> None:
        store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1)
        place = store.save(0, 2.0, TENSORS, {"at": 2}, epoch=1)
        path = place.path / file
        content = path.read_bytes()
        if damage == "missing":
            path.unlink()
        elif damage == "short":
            path.write_bytes(content[: len(content) // 2])
        else:
            path.write_bytes(content[:-3] + bytes(255 - byte for byte in content[-3:]))
        read = store.latest(0)
        assert read is not None
        assert read.state == {"at": 1}

    def test_pruning_keeps_the_newest(self, store: CheckpointStore) -> None:
        for fidelity in (1.0, 2.0, 3.0):
            store.save(0, fidelity, TENSORS, {}, epoch=1)
        (store.folder(0) / ".partial-dead").mkdir()
        store.prune(0, keep=2)
        assert len(list(store.folder(0).iterdir())) == 2
        store.prune(0)
        read = store.latest(0)
        assert read is not None
        assert read.fidelity == 3.0
        assert len(list(store.folder(0).iterdir())) == 1

    def test_a_later_driver_fences_off_an_earlier_one(self, store: CheckpointStore) -> None:
        store.save(0, 2.0, TENSORS, {"driver": 1}, epoch=1)
        store.save(0, 1.5, TENSORS, {"driver": 2}, epoch=2)
        with pytest.raises(CheckpointError, match="belongs to driver 2"):
            store.save(0, 3.0, TENSORS, {"driver": 1}, epoch=1)
        read = store.latest(0)
        assert read is not None
        assert read.state == {"driver": 2}

    def test_trials_are_apart(self, store: CheckpointStore) -> None:
        store.save(0, 1.0, TENSORS, {"trial": 0}, epoch=1)
        store.save(1, 1.0, TENSORS, {"trial": 1}, epoch=1)
        store.drop(0)
        read = store.latest(1)
        assert store.latest(0) is None
        assert read is not None
        assert read.state == {"trial": 1}
