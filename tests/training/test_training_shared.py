"""What is computed once for all trials."""

import threading
import time

import pytest
import torch
from torch import nn

from autotune.errors import StorageError
from autotune.ledger import Label
from autotune.storage.local import LocalStore
from autotune.storage.location import Remote
from autotune.training import shared
from autotune.training.meter import Meter
from autotune.training.shared import Entry, Key, SharedStore
from autotune.training.statics import fingerprint

KEY = Key("numbers", {"data": "abc", "seed": 1})


def numbers(*values):
    return lambda: (torch.tensor(values), 5.0)


def never():
    raise AssertionError("this was there already")


def same(one: Entry, other: Entry) -> bool:
    return torch.equal(one.values, other.values) and (one.flops, one.owner) == (other.flops, other.owner)


def test_what_was_made_once_is_read_by_all_others(tmp_path):
    made = SharedStore(tmp_path / "new").get(KEY, "me", numbers(1.0, 2.0))
    assert (made.values.tolist(), made.flops, made.owner) == ([1.0, 2.0], 5.0, "me")
    store = SharedStore(tmp_path / "new")
    assert same(store.get(KEY, "you", never), made)
    assert store.get(KEY, "you", never) is store.get(KEY, "you", never)


def test_other_facts_are_another_entry(tmp_path):
    store = SharedStore(tmp_path)
    keys = [KEY, Key("letters", KEY.facts), Key("numbers", {**KEY.facts, "seed": 2})]
    for index, key in enumerate(keys):
        store.get(key, "me", numbers(index))
    again = SharedStore(tmp_path)
    assert [again.get(key, "me", never).values.item() for key in keys] == [0, 1, 2]
    assert Key("numbers", {"seed": 1, "data": "abc"}).name == KEY.name


@pytest.mark.parametrize("file", ["values.safetensors", "manifest.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}"])
def test_what_is_damaged_is_made_again(tmp_path, file, content):
    SharedStore(tmp_path).get(KEY, "me", numbers(1.0))
    path = tmp_path / KEY.name / file
    path.unlink() if content is None else path.write_bytes(content)
    assert SharedStore(tmp_path).get(KEY, "you", numbers(2.0)).owner == "you"
    assert SharedStore(tmp_path).get(KEY, "me", never).values.item() == 2.0


def test_too_little_is_replaced_by_more(tmp_path):
    store, other = SharedStore(tmp_path), SharedStore(tmp_path)
    store.get(KEY, "me", numbers(1.0, 2.0))
    assert other.get(KEY, "you", never, least=2).owner == "me"
    assert other.get(KEY, "you", numbers(1.0, 2.0, 3.0), least=3).owner == "you"
    assert store.get(KEY, "me", never, least=1).owner == "me"  # what it holds is enough
    assert len(store.get(KEY, "me", never, least=3).values) == 3


def test_what_fails_leaves_nothing(tmp_path):
    def failing():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        SharedStore(tmp_path).get(KEY, "me", failing)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert SharedStore(tmp_path).get(KEY, "you", numbers(1.0)).owner == "you"


def test_one_worker_makes_it_and_the_others_wait(tmp_path):
    begun, makers, beats, found = threading.Event(), [], [], []

    def make():
        makers.append(threading.get_ident())
        begun.set()
        while len(beats) < 3:  # until all others have waited for a while
            time.sleep(0.01)
        return torch.tensor([7.0]), 1.0

    def work(name):
        found.append(SharedStore(tmp_path).get(KEY, name, make, lambda: beats.append(name)))

    threads = [threading.Thread(target=work, args=(str(k),)) for k in range(4)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(makers) == 1
    assert len(found) == 4
    assert {entry.owner for entry in found} == {"0"}
    assert "0" not in beats


def test_a_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write to"):
        SharedStore(tmp_path / "file").get(KEY, "me", numbers(1.0))


def test_a_module_is_known_by_its_structure_and_its_weights():
    def linear(seed, bias=True):
        torch.manual_seed(seed)
        return nn.Linear(2, 2, bias=bias)

    known = fingerprint(linear(0))
    assert fingerprint(linear(0)) == known
    assert fingerprint(linear(1)) != known
    assert fingerprint(nn.Sequential(linear(0))) != known
    assert fingerprint(linear(0).bfloat16()) != known
    assert fingerprint(nn.ReLU()) != fingerprint(nn.Tanh())
    counting = nn.BatchNorm1d(2)
    before = fingerprint(counting)
    counting.num_batches_tracked += 1
    assert fingerprint(counting) != before


def test_only_the_account_that_made_it_is_charged_and_only_once():
    mine, other = Meter(account="mine"), Meter(account="other")
    for meter in (mine, mine, other):
        meter.charge_shared("features", "mine", 3.0)
    resumed = Meter(account="mine")
    resumed.restore(*mine.capture())
    resumed.charge_shared("features", "mine", 3.0)
    for meter in (mine, resumed):
        assert meter.ledger()[Label.SHARED].flops == 3.0
        assert meter.counted == 0.0
    assert other.ledger()[Label.SHARED].flops == 0.0


def test_what_one_machine_made_others_fetch_from_an_object_store(tmp_path, monkeypatch):
    """While the store is away each machine makes its own."""
    monkeypatch.setattr(shared, "store_at", lambda place: LocalStore(tmp_path / "bucket"))
    place = Remote("s3://bucket", "shared")
    for machine, make in (("one", numbers(1.0, 2.0)), ("two", never)):
        (tmp_path / machine).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / machine))
        entry = SharedStore(place).get(KEY, machine, make)
        assert (entry.values.tolist(), entry.flops, entry.owner) == ([1.0, 2.0], 5.0, "one")
    for name in LocalStore(tmp_path / "bucket").names():
        if name.endswith("values.safetensors"):  # damaged there, whole here
            LocalStore(tmp_path / "bucket").put(name, b"")
    assert SharedStore(place).get(KEY, "two", never).owner == "one"
    (tmp_path / "three").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "three"))
    assert SharedStore(place).get(KEY, "three", numbers(1.0, 2.0)).owner == "three"
