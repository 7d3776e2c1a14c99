"""Random, grid and starting points."""

import pytest

from autotune.errors import ConfigurationError, SpaceError
from autotune.events import Proposed, Reported
from autotune.searching import TPE, FairStart, GridSearch, RandomSearch, StartingPoints
from autotune.space import Choice, Float, SearchSpace
from autotune.testing.searchers import SPACE, SearcherContract

POINTS = (
    {"optimizer": "sgd", "optimizer.lr": 0.1, "optimizer.momentum": 0.9, "width": 16, "batch_size": 32},
    {"optimizer": "adamw", "optimizer.lr": 1e-3, "width": 16, "batch_size": 64},
)


class TestRandomSearch(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return RandomSearch()


class TestGridSearch(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return GridSearch(points=2)


class TestStartingPointsThenTPE(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return StartingPoints(TPE(startup=5), POINTS)


class TestFairStartThenTPE(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return FairStart(TPE(startup=5), rounds=2, choice="optimizer")


def test_a_fair_start_tries_every_option_in_turn():
    searcher = FairStart(TPE(), rounds=3, settle=2, choice="optimizer")
    state = searcher.initial(SPACE)
    tried = [searcher.propose(state, trial, seed=1) for trial in range(2 + 3 * 2)]
    assert [config["optimizer"] for config in tried] == list(SPACE.options("optimizer")) * 4
    assert all(SPACE.validate(config) == config for config in tried)
    assert len({str(config) for config in tried}) == len(tried)


POLICIES = SearchSpace(
    {
        "lr": Float(1e-3, 1.0, log=True),
        "policy": Choice({"full": {}, "el2n": {"fraction": Float(0.1, 0.5)}, "fresh_random": {}}),
    }
)


def test_a_fair_start_settles_on_the_baselines_and_tries_the_others_with_the_leaders_settings():
    searcher = FairStart(RandomSearch(), rounds=2, settle=4)
    state = searcher.initial(POLICIES)
    for trial in range(4):
        config = searcher.propose(state, trial, seed=1)
        assert config["policy"] == ["full", "fresh_random"][trial % 2]
        state = searcher.apply(state, Proposed(trial, config, 0, "test"))
        state = searcher.apply(state, Reported(trial, trial, rung=int(trial < 2), fidelity=1.0, score=trial))
    leader = state.configs[1]  # the better of those at the highest rung, whatever the others have below
    others = [searcher.propose(state, trial, seed=1) for trial in (4, 5)]
    assert [(config["policy"], config["lr"]) for config in others] == [("el2n", leader["lr"])] * 2
    assert len({config["policy.fraction"] for config in others}) == 2
    plain = RandomSearch()
    assert searcher.propose(state, 6, seed=1) == plain.propose(plain.initial(POLICIES), 6, seed=1)


def test_a_fair_start_without_a_leader_takes_random_settings():
    searcher = FairStart(RandomSearch(), settle=0)
    state = searcher.initial(POLICIES)
    state = searcher.apply(state, Proposed(0, POLICIES.reference(), 0, "test"))
    state = searcher.apply(state, Reported(0, 0, rung=0, fidelity=1.0, score=float("nan")))
    config = searcher.propose(state, 0, seed=1)
    assert config["policy"] == "el2n"
    assert config["lr"] != POLICIES.reference()["lr"]


def test_a_space_without_the_choice_has_no_fair_start():
    space = SearchSpace({"x": Float(0, 1)})
    fair, plain = FairStart(RandomSearch()), RandomSearch()
    assert fair.propose(fair.initial(space), 0, 3) == plain.propose(plain.initial(space), 0, 3)


def test_a_grid_is_every_combination_once():
    space = SearchSpace({"a": Choice({"x": {"b": Float(0, 1)}, "y": {}}), "c": Choice([1, 2])})
    searcher = GridSearch(points=3)
    state = searcher.initial(space)
    proposed = [searcher.propose(state, trial, seed=9) for trial in range(8)]
    assert proposed == list(space.grid(3))
    assert searcher.propose(state, 8, seed=9) is None


@pytest.mark.parametrize("inner", [GridSearch(), StartingPoints(TPE(), POINTS), FairStart()])
def test_a_fair_start_takes_no_trials_from_a_searcher_that_counts_them(inner):
    with pytest.raises(
        ConfigurationError, match=r"must not count .*StartingPoints\(FairStart\(\.\.\.\), points"
    ):
        FairStart(inner)


def test_a_grid_too_large_is_refused():
    with pytest.raises(SpaceError, match="has 27 combinations, above most=20; fix some parameters"):
        GridSearch(points=3, most=20).initial(SearchSpace({name: Float(0, 1) for name in "abc"}))
    with pytest.raises(SpaceError, match="points must be at least 1, got 0"):
        GridSearch(points=0)


def test_starting_points_come_first_then_the_searcher_from_its_beginning():
    searcher = StartingPoints(GridSearch(points=2), POINTS)
    state = searcher.initial(SPACE)
    assert searcher.propose(state, 0, 0) == SPACE.validate(POINTS[0])
    assert searcher.propose(state, 1, 0) == SPACE.validate(POINTS[1])
    assert searcher.propose(state, 2, 0) == SPACE.combination(0, 2)


def test_a_wrong_starting_point_is_refused_before_the_study():
    wrong = {**POINTS[1], "optimizer.momentum": 0.9}
    with pytest.raises(SpaceError, match=r"starting point 1: parameter 'optimizer\.momentum' is unreachable"):
        StartingPoints(RandomSearch(), (POINTS[0], wrong)).initial(SPACE)
