"""How many trials are begun on a cluster that grows."""

import threading
import time
from contextlib import contextmanager

import pytest

from autotune.cluster import fleet
from autotune.cluster.fleet import Fleet
from autotune.cluster.footprint import Footprint
from autotune.cluster.live.connection import GROUP


def machine(group="gpu", alive=True, places=1):
    return {"NodeID": "n", "Alive": alive, "Labels": {GROUP: group}, "Resources": {"GPU": float(places)}}


@pytest.fixture
def cluster(monkeypatch):
    """What there is to see: machines that are there, and those that boot, by type."""
    seen = {"nodes": [], "booting": {}}
    monkeypatch.setattr(fleet.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(fleet, "live_nodes", lambda: seen["nodes"])
    monkeypatch.setattr(fleet, "booting", lambda: {k: set(range(n)) for k, n in seen["booting"].items()})
    monkeypatch.setattr(fleet, "staying", lambda nodes: nodes)
    monkeypatch.setattr(fleet, "REFRESH_S", 0.01)
    return seen


@contextmanager
def looking(grows=True):
    found = Fleet(Footprint({"GPU": 1}))
    found.open(grows)
    try:
        yield found
    finally:
        found.close()


def room(seen, ahead=4, grows=True, **there):
    seen.update(there)
    with looking(grows) as found:
        return found.room(ahead) + ahead


def test_machines_that_boot_count_as_far_as_the_cluster_has_shown_that_it_grows(cluster):
    assert room(cluster) == 4  # from nothing
    assert room(cluster, booting={"gpu": 4}) == 8  # before the first has booted
    assert room(cluster, booting={"gpu": 8}) == 8  # but no more until one is there
    assert room(cluster, nodes=[machine()] * 8, booting={"gpu": 8}) == 20
    assert room(cluster, nodes=[machine()] * 8, booting={"gpu": 100}) == 20  # the cloud has none left


def test_one_that_boots_holds_what_another_of_its_type_did(cluster):
    assert room(cluster, nodes=[machine("big", alive=False, places=8)], booting={"big": 1}, ahead=9) == 17


def test_a_cluster_that_cannot_grow_is_not_asked_what_boots(cluster):
    assert room(cluster, ahead=0, grows=False, nodes=[machine()] * 2, booting={"gpu": 4}) == 2


def until(true):
    deadline = time.monotonic() + 60.0
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_comes_is_seen_though_nobody_asks(cluster):
    with looking() as found:
        assert found.fits == 0
        cluster["nodes"] = [machine()]
        until(lambda: found.fits == 1 and found.held.machines.get("gpu", 0.0) > 0.0)
    held = found.held
    time.sleep(0.05)
    assert found.held is held  # after the end nobody looks


def test_a_head_that_is_away_holds_up_nobody(cluster, monkeypatch):
    back = threading.Event()
    cluster["nodes"] = [machine()]
    with looking() as found:
        monkeypatch.setattr(fleet, "live_nodes", lambda: back.wait(60.0) and [machine()] * 3)
        assert (found.fits, found.room(0)) == (1, 1)  # what was there last
        back.set()
        until(lambda: found.fits == 3)
