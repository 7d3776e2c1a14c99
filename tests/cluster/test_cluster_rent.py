"""What machines are held for: booting ones are paid once, dead ones not; how many trials have place."""

import pytest

from autotune.cluster.live.connection import GROUP
from autotune.cluster.live.rent import LOCAL, LOST, SILENT_S, Rent


def node(group=None, alive=True, name=None, why=0, **resources):
    labels = {GROUP: group} if group else {}
    given = {"Alive": alive, "Resources": resources, "Labels": labels, "DeathReason": why}
    return given | {"NodeID": name or f"{group}{resources}"}


def test_machines_and_places_add_up_by_type_and_come_half_way_between_two_looks():
    head, big = node("head", CPU=4.0), node("big", CPU=8.0, GPU=4.0)
    rent = Rent({"GPU": 1}, 100.0, [head])
    rent.look([head], 110.0)
    rent.look([head, big, big], 120.0)
    held = rent.look([head, big], 130.0)
    assert held.machines == {"head": 30.0, "big": 10.0 + 15.0}
    assert held.places == {"head": 0.0, "big": 4 * 25.0}


def test_a_machine_that_boots_is_paid_and_has_no_place_and_one_that_died_is_neither():
    there = [node("spot", alive=False, CPU=4.0), node(CPU=4.0)]
    rent = Rent({"CPU": 2}, 0.0, there)
    rent.look(there, 0.0, {"spot": {"a", "b", "c"}})
    held = rent.look(there, 5.0, {"spot": {"a", "b", "c"}})
    assert held.machines == {LOCAL: 5.0, "spot": 15.0}
    assert held.places == {LOCAL: 10.0}


def test_looking_twice_at_once_or_back_in_time_adds_nothing():
    there = [node(CPU=1.0)]
    rent = Rent({"CPU": 1}, 10.0, there)
    first = rent.look(there, 12.0)
    assert rent.look(there, 12.0) == first
    assert rent.look(there, 11.0) == first


def test_the_difference_of_two_looks_is_what_came_between():
    one, other = node(CPU=1.0), node("spot", CPU=2.0)
    rent = Rent({"CPU": 1}, 0.0, [one])
    first = rent.look([one], 1.0)
    rent.look([one, other], 1.0)
    between = rent.look([one, other], 3.5) - first
    assert between.machines == pytest.approx({LOCAL: 2.5, "spot": 2.5})
    assert between.places == pytest.approx({LOCAL: 2.5, "spot": 5.0})


class Looks:
    """What further looks add, each a second after the one before."""

    def __init__(self, *nodes, **booting):
        self.now, self.rent = 0.0, Rent({"CPU": 1}, 0.0, nodes)
        self.paid = self.rent.look(nodes, 0.0, booting).machines.get("spot", 0.0)

    def __call__(self, *nodes, **booting):
        self.now += 1.0
        before, self.paid = self.paid, self.rent.look(nodes, self.now, booting).machines.get("spot", 0.0)
        return self.paid - before


ONE, OTHER = (node("spot", name=name, CPU=1.0) for name in "12")


def test_a_machine_that_has_joined_is_not_paid_for_its_boot_as_well():
    """The autoscaler says so a look later, and by then others boot."""
    look = Looks(spot={"a", "b"})
    assert look(ONE, spot={"a", "b"}) == 2.0
    assert look(ONE, spot={"b", "c"}) == 2.5  # "a" has joined, "c" boots
    assert look(ONE, OTHER, spot={"c"}) == 3.0
    assert look(ONE, OTHER) == 2.5  # "c" never came


def test_a_boot_that_failed_and_nodes_from_elsewhere_cost_no_other_its_boot():
    look = Looks(ONE, spot={"a", "b"})
    assert look(ONE, spot={"b"}) == 2.5  # "a" never came
    assert look(ONE, spot={"b"}) == 2.0
    assert look(ONE) == 1.5
    assert look(ONE, OTHER) == 1.5  # one that nobody had asked for
    assert look(ONE, OTHER, spot={"c"}) == 2.5


def test_a_machine_that_answered_no_more_is_not_paid_until_it_was_given_up():
    look = Looks(ONE, OTHER)
    lost, asked_to_go = (ONE | {"Alive": False, "DeathReason": why} for why in (LOST, LOST + 1))
    for _ in range(10):
        look(ONE, OTHER)
    assert look(lost, OTHER) == 0.0  # never fewer than before
    assert sum(look(lost, OTHER) for _ in range(10)) == 11.5 - SILENT_S
    assert Looks(ONE, OTHER)(asked_to_go, OTHER) == 1.5
