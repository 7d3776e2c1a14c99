"""Checkpoints in a store: complete or absent, whoever dies, and never waited for by training."""

import tempfile

import pytest
import torch
from test_storage_log import Died, Dying

from autotune.checkpoint import CheckpointStore, StoredCheckpoints
from autotune.storage.local import LocalStore
from autotune.storage.location import Remote, locate
from autotune.storage.opening import store_at
from autotune.testing.checkpoints import TENSORS, CheckpointContract

PLACE = Remote("s3://bucket", "checkpoints")


def checkpoints(folder, wrap=lambda store: store):
    return StoredCheckpoints(PLACE, wrap(LocalStore(folder)))


@pytest.fixture
def another_machine(tmp_path, monkeypatch):
    """From here on nothing is left of what the machine kept for itself."""

    def move():
        monkeypatch.setattr("tempfile.tempdir", tempfile.mkdtemp(dir=tmp_path))

    return move


class TestStoredCheckpoints(CheckpointContract):
    @pytest.fixture
    def store(self, tmp_path):
        self.objects = LocalStore(tmp_path / "objects")
        return StoredCheckpoints(PLACE, self.objects)

    def damage(self, place, file, change):
        name = f"{place.path.key.removeprefix('checkpoints/')}/{file}"
        changed = change(self.objects.get(name))
        if changed is None:
            self.objects.delete(name)
        else:
            self.objects.put(name, changed)


def test_one_that_was_brought_there_after_it_was_listed_is_read_there(tmp_path):
    store = checkpoints(tmp_path / "objects")
    here = store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1)
    before = store.files(here, ["state.json"])
    store.flush()
    assert before is not None
    assert store.files(here, ["state.json"]) == before


class Busy(CheckpointStore):
    """A spool into which another checkpoint is saved at some moment."""

    def __init__(self, path, moment, fidelity):
        super().__init__(path)
        self.moment, self.fidelity, self.count = moment, fidelity, 0

    def step(self):
        self.count += 1
        if self.count == self.moment:
            super().save(0, self.fidelity, TENSORS, {"at": "meanwhile"}, epoch=1)

    def places(self, trial, beat=lambda: None):
        found = super().places(trial, beat)
        self.step()
        return found


@pytest.mark.parametrize("fidelity", [1.0, 3.0])
@pytest.mark.parametrize("moment", range(3, 8))
def test_one_saved_while_another_is_brought_there_is_not_lost(tmp_path, monkeypatch, moment, fidelity):
    """Whenever that is: each look at the spool, and each object that is put, is followed by it once."""
    monkeypatch.setattr("autotune.checkpoint.stored.CheckpointStore", lambda path: busy)
    objects = LocalStore(tmp_path / "objects")
    busy = Busy(tmp_path / "spool", moment, fidelity)
    put = objects.put
    monkeypatch.setattr(objects, "put", lambda *told: [put(*told), busy.step()])
    store = StoredCheckpoints(PLACE, objects)
    store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1)
    store.flush()
    assert busy.count >= moment
    assert store.latest(0).state == {"at": "meanwhile"}
    store.flush()
    assert store.latest(0).state == {"at": "meanwhile"}
    assert super(Busy, busy).places(0) == []


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("after", range(8))
def test_a_machine_that_dies_at_any_request_leaves_the_one_before(tmp_path, another_machine, after, done):
    store = checkpoints(tmp_path / "objects")
    store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1)
    store.flush()
    another_machine()
    dying = checkpoints(tmp_path / "objects", lambda inner: Dying(inner, after, done))
    told = False
    try:
        place = dying.save(0, 3.0, TENSORS, {"at": 3}, epoch=1)
        dying.prune(0, place)
        dying.flush()
        told = True
    except Died:
        pass
    another_machine()
    store = checkpoints(tmp_path / "objects")
    assert store.latest(0).state["at"] in ((3,) if told else (1, 3))
    store.prune(0, store.save(0, 4.0, TENSORS, {"at": 4}, epoch=2))
    store.flush()
    assert [place.fidelity for place in store.places(0)] == [4.0]
    left = LocalStore(tmp_path / "objects").names("trial-000000")
    assert len(left) == 3  # also of what was not finished nothing is left


@pytest.mark.parametrize("fault", ["stall", "507", "cut"])
def test_training_does_not_wait_for_a_store_that_is_away(server, given_up_early, another_machine, fault):
    """Also not for one that loses the connection within an upload, of which it has several parts already."""
    place, large = locate(server.address("checkpoints")), {"w": torch.arange(2.0**21)}
    store = StoredCheckpoints(place, store_at(place))
    store.probe()
    store.save(0, 1.0, large, {"at": 1.0}, epoch=1)
    store.flush()
    server.break_down(fault)
    for fidelity in (2.0, 3.0, 4.0):
        store.prune(0, store.save(0, fidelity, large, {"at": fidelity}, epoch=1))
    assert len(list(store.folder(0).glob("e*"))) <= 2  # what is on its way, and the newest
    assert any("f1.0~" in key for key in server.objects)
    beats = []

    def beat():
        beats.append(1)
        server.mend()

    store.flush(beat)
    assert beats
    assert list(store.folder(0).glob("e*")) == []
    another_machine()
    there = StoredCheckpoints(place, store_at(place))
    assert there.latest(0).state == {"at": 4.0}
    assert torch.equal(there.latest(0).tensors["w"], large["w"])
    assert [one.fidelity for one in there.places(0)] == [4.0]


def test_what_a_dead_process_left_in_the_spool_is_brought_by_the_next(tmp_path, another_machine):
    store = checkpoints(tmp_path / "objects")
    store.save(0, 1.0, TENSORS, {"at": 1}, epoch=1)
    store.flush()
    store._spool().save(0, 2.0, TENSORS, {"at": 2}, epoch=1)  # and the process died
    following = checkpoints(tmp_path / "objects")
    assert following.latest(0).state == {"at": 2}
    following.flush()
    another_machine()
    assert checkpoints(tmp_path / "objects").latest(0).state == {"at": 2}


def test_checkpoints_are_moved_between_a_disk_and_a_store(tmp_path):
    store, disk = checkpoints(tmp_path), CheckpointStore(tmp_path)
    for number, (one, other) in enumerate(((store, disk), (disk, store), (store, disk))):
        one.prune(0, one.save(0, 1.0 + number, TENSORS, {"at": number}, epoch=1))
        one.flush()
        assert other.latest(0).state == {"at": number}


def test_a_study_that_begins_anew_at_an_address_does_not_meet_the_old_spool(tmp_path):
    store = checkpoints(tmp_path / "objects")
    store._spool().save(0, 2.0, TENSORS, {}, epoch=1)
    LocalStore(tmp_path / "objects").delete(*LocalStore(tmp_path / "objects").names())
    assert checkpoints(tmp_path / "objects").newest(0) is None


def test_other_users_cannot_plant_a_checkpoint(tmp_path):
    store = checkpoints(tmp_path / "objects")
    top = store.folder(0).parents[1]
    assert top.stat().st_mode & 0o077 == 0
    top.chmod(0o777)
    with pytest.raises(OSError, match="can be written by others"):
        checkpoints(tmp_path / "objects").folder(0)
    top.chmod(0o700)


def test_many_trials_are_dropped_in_two_requests(server):
    place = locate(server.address("checkpoints"))
    store = StoredCheckpoints(place, store_at(place))
    for trial in range(12):
        store.save(trial, 1.0, TENSORS, {"at": 1}, epoch=1)
    store.flush()
    server.asked.clear()
    store.drop(range(11))
    assert len(server.asked) <= 2
    kept = [key for key in server.objects if "trial" in key]
    assert kept and all("trial-000011" in key for key in kept)
    server.asked.clear()
    store.drop(range(11))
    assert len(server.asked) == 1  # nothing is left of them
