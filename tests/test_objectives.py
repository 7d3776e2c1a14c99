"""The order of trials where more than a score counts, by its laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import ConfigurationError
from autotune.objectives import Aims, Constraint, Objective, Order, ranking

few = st.integers(-4, 4).map(float)
trials = st.integers(1, 3).flatmap(lambda m: st.lists(st.tuples(*[few] * m), min_size=1, max_size=20))
bounds = st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, math.inf]), min_size=20, max_size=20)


def dominates(one, other):
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


@given(trials, bounds)
def test_nobody_ranks_above_who_dominates_it_or_keeps_what_it_breaks(found, past):
    points, past = dict(enumerate(found)), dict(enumerate(past))
    ranked = ranking(points, past)
    assert sorted(ranked) == list(points)
    for place, above in enumerate(ranked):
        for below in ranked[place + 1 :]:
            assert past[above] <= past[below]
            assert past[above] > 0 or past[below] > 0 or not dominates(points[below], points[above])


@given(st.lists(few, min_size=1, max_size=20))
def test_one_objective_is_the_order_by_score(scores):
    ranked = ranking({trial: (score,) for trial, score in enumerate(scores)})
    assert ranked == sorted(range(len(scores)), key=lambda trial: (-scores[trial], trial))


@given(trials)
def test_units_do_not_matter(found):
    stretched = [tuple(math.exp((k + 1) * value) for k, value in enumerate(point)) for point in found]
    assert ranking(dict(enumerate(found))) == ranking(dict(enumerate(stretched)))


@given(trials, bounds, st.integers(0, 25))
def test_the_best_few_are_the_beginning_of_all(found, past, count):
    order = Order()
    for trial, point in enumerate(found):
        order.add(trial, point, past[trial])
    assert order.first(count) == order.first(len(found))[:count]


def test_the_best_score_of_the_front_comes_first_and_who_is_not_finite_nowhere():
    points = {0: (0.5, 9.0), 1: (0.9, 1.0), 2: (math.nan, 5.0), 3: (0.7, math.nan), 4: (0.4, 8.0)}
    assert ranking(points) == [1, 0, 4]


def test_infeasible_trials_come_last_by_how_far_they_are_past_the_bounds():
    aims = Aims((), (Constraint("latency_ms", at_most=5.0), Constraint("worst_class", at_least=0.5)))
    metrics = {
        0: {"latency_ms": 10.0, "worst_class": 0.5},  # twice the bound: 1
        1: {"latency_ms": 4.0, "worst_class": 0.1},  # .8
        2: {"latency_ms": 5.0, "worst_class": 0.5},
        3: {"worst_class": 0.9},
    }
    past = {trial: aims.violation(found) for trial, found in metrics.items()}
    assert past == pytest.approx({0: 1.0, 1: 0.8, 2: 0.0, 3: math.inf})
    assert ranking({0: (0.9,), 1: (0.8,), 2: (0.1,), 3: (1.0,)}, past) == [2, 1, 0, 3]


def test_aims_are_what_the_log_begins_with():
    aims = Aims((Objective("latency_ms", "min"),), (Constraint("parameters", at_most=1e6),))
    plan = {
        "objectives": [{"kind": "Objective", "metric": "latency_ms", "mode": "min"}],
        "constraints": [{"kind": "Constraint", "metric": "parameters", "at_most": 1e6, "at_least": None}],
    }
    assert Aims.of({"plan": plan}) == aims
    assert aims.metrics == ("latency_ms", "parameters")
    assert aims.point(0.9, {"latency_ms": 2.0}) == (0.9, -2.0)
    assert not Aims.of({})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Objective("latency_ms", "minimum"), "did you mean 'min'"),
        (lambda: Objective("", "min"), "must be the name of one"),
        (lambda: Constraint("parameters"), "needs one finite bound"),
        (lambda: Constraint("parameters", at_most=math.nan), "needs one finite bound"),
        (lambda: Constraint("parameters", at_most=1.0, at_least=0.0), "two constraints make a range"),
        (lambda: Constraint("parameters", at_most="1e6"), "needs one finite bound"),
        (lambda: Aims((Objective("a", "min"), Objective("a", "max"))), "twice"),
        (lambda: Aims(Objective("a", "min")), r"must be a tuple of Objective, got Objective\("),
        (lambda: Aims((), ("parameters",)), "must be a tuple of Constraint, got 'parameters'"),
    ],
)
def test_what_cannot_be_an_aim_says_why(wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        wrong()
