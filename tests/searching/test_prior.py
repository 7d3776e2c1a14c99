"""Beliefs: what is drawn from them, how long they are trusted, and what is refused."""

import statistics

import numpy as np
import pytest

from autotune.errors import ConfigurationError, SpaceError
from autotune.events import Assigned, Proposed, Reported
from autotune.searching import TPE, GridSearch, RandomSearch
from autotune.searching.prior import Belief, Prior
from autotune.space import Choice, Float, Int, SearchSpace
from autotune.testing.searchers import SearcherContract

RIGHT = {"optimizer": "sgd", "optimizer.lr": Belief(0.01, 0.1)}
SPACE = SearchSpace({"x": Float(0, 1), "y": Float(0, 1), "n": Int(1, 9), "kind": Choice(["a", "b", "c"])})


class TestPriorThenTPE(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return Prior(RIGHT, TPE(startup=5))


def score(config):
    return -((config["x"] - 0.2) ** 2) - (config["y"] - 0.7) ** 2 - 0.1 * (config["kind"] != "b")


def search(searcher, trials, seed):
    state, scores = searcher.initial(SPACE), []
    for trial in range(trials):
        config = searcher.propose(state, trial, seed)
        scores.append(score(config))
        state = searcher.apply(state, Proposed(trial, config, 0, "test"))
        state = searcher.apply(state, Assigned(trial, trial, 0, 0.0, 1.0))
        state = searcher.apply(state, Reported(trial, trial, 0, 1.0, scores[-1]))
    return scores, state


def median_best(searcher, trials):
    return statistics.median(max(search(searcher, trials, seed)[0]) for seed in range(15))


GOOD = {"x": Belief(0.2, 0.1), "y": Belief(0.7, 0.1), "kind": "b"}
BAD = {"x": Belief(0.95, 0.1), "y": Belief(0.05, 0.1), "kind": "a"}


def test_right_beliefs_find_in_ten_trials_what_chance_does_not_in_thirty():
    assert median_best(Prior(GOOD, RandomSearch()), 10) > median_best(RandomSearch(), 30)


def test_wrong_beliefs_lose_trust_and_little_else():
    searcher = Prior(BAD, TPE())
    trusted = [searcher.share(search(searcher, 60, seed)[1]) for seed in range(5)]
    assert max(trusted) < 0.2  # of half at first
    assert median_best(searcher, 60) > median_best(RandomSearch(), 30)
    assert median_best(searcher, 60) > median_best(TPE(), 40)  # what they cost the same searcher


def test_right_beliefs_keep_trust_but_never_all_of_it():
    searcher = Prior(GOOD, RandomSearch())
    trusted = [searcher.share(search(searcher, 40, seed)[1]) for seed in range(5)]
    assert min(trusted) > 0.6 and max(trusted) <= 0.75


def test_the_first_proposal_is_what_is_believed_most_likely():
    searcher = Prior({"x": 0.25, "n": 3, "kind": "c"}, RandomSearch())
    state = searcher.initial(SPACE)
    config = searcher.propose(state, 0, seed=5)
    assert (config["x"], config["n"], config["kind"]) == (pytest.approx(0.25), 3, "c")
    assert config["y"] == RandomSearch().propose(SPACE, 0, 5)["y"]  # nobody believes anything about it


def test_beliefs_about_a_branch_hold_in_each_that_has_such_a_value():
    space = SearchSpace(
        {"optimizer": Choice({"sgd": {"lr": Float(0.1, 1)}, "adamw": {"lr": Float(1e-4, 1e-2, log=True)}})}
    )
    searcher = Prior({"optimizer.lr": Belief(1e-3, 0.05)}, RandomSearch())
    state = searcher.initial(space)
    drawn = []
    for trial in range(60):
        config = RandomSearch().propose(space, trial, 0)
        drawn.append(searcher._believed(space, config, np.random.default_rng(trial), likeliest=False))
    adamw = [one["optimizer.lr"] for one in drawn if one["optimizer"] == "adamw"]
    sgd = [one["optimizer.lr"] for one in drawn if one["optimizer"] == "sgd"]
    assert all(5e-4 < rate < 2e-3 for rate in adamw) and len(adamw) > 10
    assert max(sgd) - min(sgd) > 0.5  # .001 is no rate of this branch
    assert state.standing.groups == {}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Prior({"z": 1.0}).initial(SPACE), "beliefs: .*parameter 'z'"),
        (
            lambda: Prior({"x": 2.0}).initial(SPACE),
            r"'x': value must be in \[0.0, 1.0\], got 2",
        ),
        (lambda: Prior({"kind": "d"}).initial(SPACE), "belief about 'kind': value must be one of"),
    ],
)
def test_beliefs_that_do_not_fit_the_space_are_refused(make, text):
    with pytest.raises(SpaceError, match=text):
        make()


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigurationError, match=r"belief.spread must be in \(0, 1\], got 0"):
        Belief(1.0, 0)
    with pytest.raises(ConfigurationError, match=r"GridSearch does; put it outside, .*FairStart\(Prior"):
        Prior({"x": 0.5}, GridSearch())
