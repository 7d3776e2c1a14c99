"""Starting points from earlier studies: which, in what order, and in spaces that differ."""

import math
import statistics

import numpy as np
import pytest

from autotune.data import Dataset
from autotune.engines.function import FunctionWorkload
from autotune.errors import ConfigurationError, FolderError
from autotune.events import Proposed, Reported
from autotune.scheduling.asha import ASHA
from autotune.searching import TPE, RandomSearch, StartingPoints
from autotune.space import Choice, Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study
from autotune.study.warm import adapted, similarity, warm_points

SPACE = SearchSpace({"x": Float(0, 1), "kind": Choice(["a", "b"])})


def run(path, best, trials=9):
    def score(config, fidelity, seed):
        return -((config["x"] - best) ** 2)

    plan = Plan(Budget(trials=trials), ASHA(3.0, 1.0), RandomSearch(), Confirm(leaders=2, seeds=2))
    return Study(FunctionWorkload(score), SPACE, path, plan).run()


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    return {best: run(folder / str(best), best) for best in (0.2, 0.8)}


def test_winners_come_first_then_leaders_by_turns(studies):
    points = warm_points([one.path for one in studies.values()], SPACE, most=4)
    assert [points[0], points[1]] == [dict(one.best_config) for one in studies.values()]
    assert abs(points[2]["x"] - 0.2) < abs(points[2]["x"] - 0.8)
    assert abs(points[3]["x"] - 0.8) < abs(points[3]["x"] - 0.2)
    assert len({str(point) for point in points}) == 4


def test_points_begin_a_new_study(studies, tmp_path):
    points = warm_points([studies[0.2].path], SPACE, most=2)
    plan = Plan(Budget(trials=5), ASHA(3.0, 1.0), StartingPoints(RandomSearch(), points), Confirm(1, 2))
    again = Study(FunctionWorkload(lambda c, f, s: c["x"]), SPACE, tmp_path / "new", plan).run()
    assert [trial.config for trial in again.history.of_phase("search")][:2] == list(points)


def test_other_spaces_take_what_fits_and_the_middle_of_the_rest(studies):
    space = SearchSpace({"x": Float(0.5, 1), "kind": Choice(["b", "c"]), "y": Float(0, 4), "depth": 3})
    assert adapted({"x": 0.7, "kind": "b", "z": 1}, space) == {"x": 0.7, "kind": "b", "y": 2.0, "depth": 3}
    assert adapted({"x": 0.2, "kind": "a", "depth": 9}, space)["x"] == 0.75
    for point in warm_points([studies[0.2].path, studies[0.8].path], space):
        assert space.validate(point) == point


def data(samples, features=4, classes=3):
    chance = np.random.default_rng(samples + features)
    inputs = chance.normal(size=(samples, features)).astype(np.float32)
    return Dataset.from_arrays(inputs, np.arange(samples) % classes)


def test_the_same_data_comes_before_similar_data_before_other_data():
    own = data(300)
    same = {"data": own.fingerprint, "sizes": own.sizes}
    near = {"data": "?", "sizes": data(290).sizes}
    far = {"data": "?", "sizes": data(3000, 400, 2).sizes}
    found = [similarity(one, own) for one in (same, near, far, {"data": "?"})]
    assert found == sorted(found, reverse=True) and len(set(found)) == 4
    assert found[0] == 1.0 and found[-1] == 0.0


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="most must be at least 1 starting point, got 0"):
        warm_points([], SPACE, most=0)
    with pytest.raises(FolderError):
        warm_points([tmp_path / "nothing"], SPACE)
    assert warm_points([], SPACE) == ()


def test_results_that_are_no_numbers_begin_nothing(tmp_path):
    def score(config, fidelity, seed):
        return math.inf if config["x"] > 0.5 else config["x"]

    plan = Plan(Budget(trials=12), ASHA(3.0, 1.0), RandomSearch(), Confirm(leaders=1, seeds=2))
    Study(FunctionWorkload(score), SPACE, tmp_path / "odd", plan).run()
    points = warm_points([tmp_path / "odd"], SPACE)
    assert points
    assert all(point["x"] <= 0.5 for point in points)


def test_points_of_an_unrelated_study_cost_their_own_trials_and_little_else():
    """The best of the earlier study is among the worst here."""
    space = SearchSpace({"x": Float(0, 1), "y": Float(0, 1)})
    far = tuple({"x": x, "y": 0.95} for x in (0.9, 0.95, 1.0))

    def best(searcher, seed, trials=30):
        state, scores = searcher.initial(space), []
        for trial in range(trials):
            config = searcher.propose(state, trial, seed)
            scores.append(-((config["x"] - 0.2) ** 2) - (config["y"] - 0.3) ** 2)
            state = searcher.apply(state, Proposed(trial, config, 0, "test"))
            state = searcher.apply(state, Reported(trial, trial, 0, 1.0, scores[-1]))
        return max(scores)

    with_them = [best(StartingPoints(TPE(), far), seed) for seed in range(9)]
    fewer = [best(TPE(), seed, trials=20) for seed in range(9)]
    assert statistics.median(with_them) > statistics.median(fewer)
