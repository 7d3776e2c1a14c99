"""Fronts kept up point by point are those that the definition gives, and a front is spread out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autotune.numerics.fronts import Fronts, spread_out

few = st.integers(0, 6).map(float)  # so few values that points often tie
points = st.integers(1, 3).flatmap(lambda m: st.lists(st.tuples(*[few] * m), min_size=1, max_size=30))


def dominates(one, other):
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def depth(point, among):
    """Of the longest chain of points that dominate one another down to this one."""
    return max((1 + depth(other, among) for other in among if dominates(other, point)), default=0)


@given(points)
def test_each_point_is_in_the_front_of_its_longest_chain_of_dominators(found):
    fronts = Fronts()
    for key, point in enumerate(found):
        fronts.insert(key, point)
    distinct = set(found)
    for level, front in enumerate(fronts.fronts):
        assert {depth(found[key], distinct) for key in front.members} == {level}
    assert sorted(fronts.first(len(found))) == list(range(len(found)))


@given(points, st.randoms())
def test_the_order_of_arrival_does_not_matter(found, chance):
    keys = list(range(len(found)))
    orders = []
    for _ in range(2):
        fronts = Fronts()
        for key in keys:
            fronts.insert(key, found[key])
        orders.append(fronts.first(len(found)))
        chance.shuffle(keys)
    assert orders[0] == orders[1]


def test_a_line_is_covered_from_its_ends_inwards():
    line = np.array([[x, 8.0 - x] for x in range(9)])
    assert spread_out(line)[:5] == [8, 0, 4, 2, 6]
