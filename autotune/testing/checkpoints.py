"""The contract of a checkpoint store, as a suite to subclass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from autotune.checkpoint import Checkpoints, Place
from autotune.errors import CheckpointError

TENSORS = {
    "model/weight": torch.arange(6.0).reshape(2, 3),
    "generator": torch.arange(16, dtype=torch.uint8),
    "steps": torch.tensor(7),
}


Change = Callable[[bytes], bytes | None]  # what becomes of a file; None removes it

DAMAGES: dict[str, Change] = {
    "missing": lambda content: None,
    "short": lambda content: content[: len(content) // 2],
    "changed": lambda content: content[:-3] + bytes(255 - byte for byte in content[-3:]),
}


class CheckpointContract:
    """Subclass it, and override `store` to return an empty store.

    Where its places are no folders of this machine, override `damage`, too.
    """

    @pytest.fixture
    def store(self, tmp_path: Path) -> Checkpoints:
        raise NotImplementedError

    def damage(self, place: Place, file: str, change: Change) -> None:
        """Change a file of a checkpoint behind the store's back."""
        path = Path(str(place.path)) / file
        changed = change(path.read_bytes())
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)

    def test_an_unknown_trial_has_none(self, store: Checkpoints) -> None:
        assert store.latest(3) is None
        assert store.state(3) is None
        assert store.newest(3) is None
        store.drop([3])
        store.flush()

    def test_what_is_saved_is_what_is_read(self, store: Checkpoints) -> None:
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

    def test_the_newest_is_the_furthest(self, store: Checkpoints) -> None:
        for fidelity in (0.9, 10.0, 2.0):
            store.save(0, fidelity, TENSORS, {"at": fidelity}, epoch=1)
        read, place = store.latest(0), store.newest(0)
        assert read is not None
        assert place is not None
        assert read.fidelity == place.fidelity == 10.0

    def test_saving_again_at_the_same_place_replaces(self, store: Checkpoints) -> None:
        store.save(0, 0.5, TENSORS, {"try": 1}, epoch=1)
        store.save(0, 0.5, TENSORS, {"try": 2}, epoch=1)
        read = store.latest(0)
        assert read is not None
        assert read.state == {"try": 2}

    @pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "manifest.json"])
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_one_is_passed_over(self, store: Checkpoints, file: str, damage: str) -> None:
        store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1)
        store.flush()
        store.save(0, 2.0, TENSORS, {"at": 2}, epoch=1)
        store.flush()
        place = store.newest(0)
        assert place is not None
        assert place.fidelity == 2.0
        self.damage(place, file, DAMAGES[damage])
        read = store.latest(0)
        assert read is not None
        assert read.state == {"at": 1}

    def test_pruning_removes_what_is_older(self, store: Checkpoints) -> None:
        for fidelity in (1.0, 2.0, 3.0):
            place = store.save(0, fidelity, TENSORS, {}, epoch=1)
            store.flush()
        assert [place.fidelity for place in store.places(0)] == [3.0, 2.0, 1.0]
        store.prune(0, next(place for place in store.places(0) if place.fidelity == 2.0))
        store.flush()
        assert [place.fidelity for place in store.places(0)] == [3.0, 2.0]
        store.prune(0, place)
        store.flush()
        assert [place.fidelity for place in store.places(0)] == [3.0]

    def test_a_later_driver_fences_off_an_earlier_one(self, store: Checkpoints) -> None:
        store.save(0, 2.0, TENSORS, {"driver": 1}, epoch=1)
        store.save(0, 1.5, TENSORS, {"driver": 2}, epoch=2)
        store.flush()
        with pytest.raises(CheckpointError, match="belongs to driver 2"):
            store.save(0, 3.0, TENSORS, {"driver": 1}, epoch=1)
            store.flush()
        read = store.latest(0)
        assert read is not None
        assert read.state == {"driver": 2}

    def test_trials_are_apart(self, store: Checkpoints) -> None:
        store.save(0, 1.0, TENSORS, {"trial": 0}, epoch=1)
        store.save(1, 1.0, TENSORS, {"trial": 1}, epoch=1)
        store.drop([0, 7])
        read = store.latest(1)
        assert store.latest(0) is None
        assert read is not None
        assert read.state == {"trial": 1}
