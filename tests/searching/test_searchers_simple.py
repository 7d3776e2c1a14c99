"""Random, grid and starting points."""

import pytest

from autotune.errors import SpaceError
from autotune.searching import TPE, GridSearch, RandomSearch, StartingPoints
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


def test_a_grid_is_every_combination_once():
    space = SearchSpace({"a": Choice({"x": {"b": Float(0, 1)}, "y": {}}), "c": Choice([1, 2])})
    searcher = GridSearch(points=3)
    state = searcher.initial(space)
    proposed = [searcher.propose(state, trial, seed=9) for trial in range(8)]
    assert proposed == list(space.grid(3))
    assert searcher.propose(state, 8, seed=9) is None


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
