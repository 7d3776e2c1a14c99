"""What machines are held for: booting ones are paid, dead ones are not, and how many trials have place."""

import pytest

from autotune.cluster.connection import GROUP
from autotune.cluster.rent import LOCAL, Rent


def node(group=None, alive=True, **resources):
    labels = {GROUP: group} if group else {}
    return {"Alive": alive, "Resources": resources, "Labels": labels}


def test_machines_and_places_add_up_by_type():
    rent = Rent({"GPU": 1}, now=100.0)
    head, big = node("head", CPU=4.0), node("big", CPU=8.0, GPU=4.0)
    rent.look([head], 110.0)
    held = rent.look([head, big, big], 130.0)
    assert held.machines == {"head": 30.0, "big": 40.0}
    assert held.places == {"head": 0.0, "big": 160.0}


def test_a_machine_that_boots_is_paid_and_has_no_place_and_one_that_died_is_neither():
    rent = Rent({"CPU": 2}, now=0.0)
    held = rent.look([node("spot", alive=False, CPU=4.0), node(CPU=4.0)], 5.0, {"spot": 3})
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
