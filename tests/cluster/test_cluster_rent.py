"""What machines are held for: booting ones are paid once, dead ones not; how many trials have place."""

import pytest

from autotune.cluster.connection import GROUP
from autotune.cluster.rent import LOCAL, LOST, SILENT_S, Rent


def node(group=None, alive=True, name=None, why=0, **resources):
    labels = {GROUP: group} if group else {}
    given = {"Alive": alive, "Resources": resources, "Labels": labels, "DeathReason": why}
    return given | {"NodeID": name or f"{group}{resources}"}


def test_machines_and_places_add_up_by_type():
    rent = Rent({"GPU": 1}, now=100.0)
    head, big = node("head", CPU=4.0), node("big", CPU=8.0, GPU=4.0)
    rent.look([head], 110.0)
    held = rent.look([head, big, big], 130.0)
    assert held.machines == {"head": 30.0, "big": 40.0}
    assert held.places == {"head": 0.0, "big": 160.0}


def test_a_machine_that_boots_is_paid_and_has_no_place_and_one_that_died_is_neither():
    rent = Rent({"CPU": 2}, now=0.0)
    held = rent.look([node("spot", alive=False, CPU=4.0), node(CPU=4.0)], 5.0, {"spot": {"a", "b", "c"}})
    assert held.machines == {LOCAL: 5.0, "spot": 15.0}
    assert held.places == {LOCAL: 10.0}


def test_looking_twice_at_once_or_back_in_time_adds_nothing():
    rent = Rent({"CPU": 1}, now=10.0)
    first = rent.look([node(CPU=1.0)], 12.0)
    assert rent.look([node(CPU=1.0)], 12.0) == first
    assert rent.look([node(CPU=1.0)], 11.0) == first


def test_the_difference_of_two_looks_is_what_came_between():
    rent = Rent({"CPU": 1}, now=0.0)
    first = rent.look([node(CPU=1.0)], 1.0)
    second = rent.look([node(CPU=1.0), node("spot", CPU=2.0)], 3.5)
    between = second - first
    assert between.machines == pytest.approx({LOCAL: 2.5, "spot": 2.5})
    assert between.places == pytest.approx({LOCAL: 2.5, "spot": 5.0})


def test_a_machine_that_has_joined_is_not_paid_for_its_boot_as_well():
    """The autoscaler says so a look later, and by then others boot."""
    rent = Rent({"CPU": 1}, now=0.0)
    rent.look([], 1.0, {"spot": {"a", "b"}})
    one, other = node("spot", name="1", CPU=1.0), node("spot", name="2", CPU=1.0)
    assert rent.look([one], 2.0, {"spot": {"a", "b"}}).machines == {"spot": 4.0}
    assert rent.look([one], 3.0, {"spot": {"b", "c"}}).machines == {"spot": 7.0}
    assert rent.look([one, other], 4.0, {"spot": {"c"}}).machines == {"spot": 10.0}


def test_a_boot_that_failed_and_nodes_from_elsewhere_cost_no_other_its_boot():
    rent = Rent({"CPU": 1}, 0.0, [node("spot", name="old", CPU=1.0)])
    there = [node("spot", name="old", CPU=1.0), node("spot", name="new", CPU=1.0)]
    rent.look(there[:1], 1.0, {"spot": {"a", "b"}})
    assert rent.look(there[:1], 2.0, {"spot": {"b"}}).machines == {"spot": 5.0}  # "a" never came
    assert rent.look(there, 3.0, {}).machines == {"spot": 7.0}  # one that nobody had asked for
    assert rent.look(there, 4.0, {"spot": {"c"}}).machines == {"spot": 10.0}


def test_a_machine_that_answered_no_more_is_not_paid_until_it_was_given_up():
    rent = Rent({"CPU": 1}, 0.0)
    one, other = node("spot", name="1", CPU=2.0), node("spot", name="2", CPU=2.0)
    rent.look([one, other], 100.0)
    lost = node("spot", alive=False, name="1", why=LOST, CPU=2.0)
    held = rent.look([lost, other], 101.0)
    assert held.machines == {"spot": 200.0}  # never fewer than before
    held = rent.look([lost, other], 111.0)
    assert held.machines == {"spot": 211.0 - SILENT_S}
    assert held.places == {"spot": 2 * (211.0 - SILENT_S)}
    asked_to_go = node("spot", alive=False, name="2", why=3, CPU=2.0)
    assert rent.look([lost, asked_to_go], 112.0) == held
    assert rent.look([lost, asked_to_go, node("spot", name="3", CPU=2.0)], 113.0).machines == {
        "spot": 212.0 - SILENT_S
    }
