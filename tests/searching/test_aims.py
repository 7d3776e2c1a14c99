"""Searchers that model more than a score go where the front is and the constraints are kept."""

import statistics

import pytest

from autotune.events import Assigned, Opened, Proposed, Reported
from autotune.searching import GP, TPE
from autotune.searching.standing import Standing
from autotune.space import Float, SearchSpace

SQUARE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
LOW = {"plan": {"constraints": [{"metric": "cost", "at_most": 0.3}]}}
BOTH = {"plan": {"objectives": [{"metric": "cost", "mode": "min"}]}}


def search(searcher, study, trials, score, cost):
    """Configurations one after another, all at one rung."""
    state = searcher.apply(searcher.initial(SQUARE), Opened(study))
    found = []
    for trial in range(trials):
        config = searcher.propose(state, trial, 0)
        found.append(config)
        for event in (
            Proposed(trial, config, 0, "test"),
            Assigned(trial, trial, 0, 0.0, 1.0),
            Reported(trial, trial, 0, 1.0, score(config), {"cost": cost(config)}),
        ):
            state = searcher.apply(state, event)
    return found


@pytest.mark.parametrize(("searcher", "trials"), [(TPE(startup=8), 45), (GP(startup=8, history=50), 11)])
def test_the_best_is_looked_for_where_the_constraint_ends(searcher, trials):
    """The score rises with x, of which no more than .3 is allowed."""
    late = search(searcher, LOW, trials, lambda c: c["x"], lambda c: c["x"])[-(trials // 3) :]
    assert statistics.median(abs(config["x"] - 0.3) for config in late) < 0.15  # by chance about .3


@pytest.mark.parametrize(("searcher", "trials"), [(TPE(startup=8), 45), (GP(startup=8, history=50), 11)])
def test_all_of_the_front_is_looked_for_and_nothing_else(searcher, trials):
    """Both ends of x are best in something; y does nothing but harm."""
    found = search(searcher, BOTH, trials, lambda c: c["x"] - c["y"], lambda c: c["x"] + c["y"])
    late = found[-(trials // 3) :]
    assert statistics.median(config["y"] for config in late) < 0.25
    assert max(c["x"] for c in late) - min(c["x"] for c in late) > 0.4


def test_who_is_least_past_the_constraints_leads():
    standing = Standing()
    standing.apply(Opened(LOW))
    results = [(0, 0.9, 0.9), (0, 0.1, 0.2), (1, 0.5, 0.4), (0, 0.2, 0.3)]
    leaders = []
    for trial, (rung, score, cost) in enumerate(results):
        standing.apply(Proposed(trial, {}, 0, "test"), "abcd"[trial])
        standing.apply(Reported(trial, trial, rung, 1.0, score, {"cost": cost}))
        leaders.append(standing.leader)
    assert leaders == [0, 1, 1, 3]
    assert [standing.outstanding(group, 3) for group in "abcd"] == [0, 0, 1, 1]


def test_a_leader_that_comes_to_be_past_a_constraint_leads_no_longer():
    standing = Standing()
    standing.apply(Opened(LOW))
    for trial, cost in ((0, 0.2), (1, 0.3)):
        standing.apply(Proposed(trial, {}, 0, "test"))
        standing.apply(Reported(trial, trial, 0, 1.0, 0.9 - trial, {"cost": cost}))
    assert standing.leader == 0
    standing.apply(Reported(2, 0, 1, 3.0, 0.95, {"cost": 0.8}))
    assert (standing.leader, standing.past, standing.best) == (1, 0.0, (0, pytest.approx(-0.1)))
