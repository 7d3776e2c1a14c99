"""Sobol, Gaussian processes and CMA-ES: the contract, that they learn, and what they are told."""

import math
import os
import statistics
import subprocess
import sys

import numpy as np
import pytest

from autotune.errors import ConfigurationError
from autotune.events import Assigned, Failed, Proposed, Reported
from autotune.searching import CMAES, GP, TPE, RandomSearch, Sobol
from autotune.space import Choice, Float, Int, SearchSpace
from autotune.testing.searchers import SearcherContract


class TestSobol(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return Sobol()


class TestCMAES(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return CMAES(population=5)


class TestGP(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return GP(startup=25, history=50)


class TestTPEAfterSobol(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return TPE(startup=5, opening="sobol")


BOWL = SearchSpace({"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1)})


def bowl(config):
    return -sum((config[name] - best) ** 2 for name, best in (("x", 0.2), ("y", 0.8), ("z", 0.5)))


def search(searcher, trials, seed, space=BOWL, score=bowl, fails=lambda trial: False):
    """Scores one after another, all at one rung."""
    state, scores = searcher.initial(space), []
    for trial in range(trials):
        config = searcher.propose(state, trial, seed)
        scores.append(score(config))
        for event in (Proposed(trial, config, 0, "test"), Assigned(trial, trial, 0, 0.0, 1.0)):
            state = searcher.apply(state, event)
        answer = Reported(trial, trial, 0, 1.0, scores[-1])
        state = searcher.apply(state, Failed(trial, trial, 0, "error", "") if fails(trial) else answer)
    return scores


@pytest.mark.parametrize("searcher", [GP(startup=5, history=50), CMAES()])
def test_it_comes_closer_than_chance(searcher):
    def late(one):
        trials = 60 if isinstance(searcher, CMAES) else 25
        return statistics.median(statistics.median(search(one, trials, seed)[-10:]) for seed in range(3))

    assert late(searcher) > late(RandomSearch()) / 3  # both below 0


def test_cmaes_learns_although_some_trials_fail():
    found = search(CMAES(), 80, seed=0, fails=lambda trial: trial % 4 == 0)
    assert statistics.median(found[-10:]) > statistics.median(found[:10]) / 3


def test_cmaes_takes_a_higher_rung_for_better_whatever_the_score():
    searcher = CMAES(population=4)
    state = searcher.initial(BOWL)
    for trial, (rung, score) in enumerate([(0, 9.0), (1, 1.0), (0, math.nan), (1, 2.0)]):
        state = searcher.apply(
            state, Proposed(trial, BOWL.at(dict.fromkeys("xyz", 0.1 + 0.2 * trial)), 0, "t")
        )
        state = searcher.apply(state, Reported(trial, trial, rung, 1.0, score))
    reached = state.standing.reached
    assert sorted(reached, key=lambda trial: (math.isfinite(reached[trial][1]), reached[trial])) == [
        2,
        0,
        1,
        3,
    ]
    drawn = [searcher.propose(state, trial, 0)["x"] for trial in range(100, 200)]
    assert statistics.fmean(drawn) > 0.45  # towards the trials at .3 and .7, and .7 counts more


def test_cmaes_waits_for_a_whole_generation():
    searcher = CMAES(population=4)
    first, then = searcher.initial(BOWL), searcher.initial(BOWL)
    for trial in range(4):
        proposed = Proposed(trial, BOWL.at(dict.fromkeys("xyz", 0.9)), 0, "t")
        first, then = searcher.apply(first, proposed), searcher.apply(then, proposed)
        if trial < 3:
            then = searcher.apply(then, Reported(trial, trial, 0, 1.0, 1.0))
    assert searcher.propose(first, 9, 0) == searcher.propose(then, 9, 0)
    then = searcher.apply(then, Failed(3, 3, 0, "error", ""))
    assert searcher.propose(first, 9, 0) != searcher.propose(then, 9, 0)


def test_sobol_covers_the_cube_more_evenly_than_chance():
    def discrepancy(searcher):
        state = searcher.initial(BOWL)
        points = [list(searcher.propose(state, trial, 3).values()) for trial in range(64)]
        return np.histogramdd(np.array(points), bins=4, range=[(0, 1)] * 3)[0].max()

    assert discrepancy(Sobol()) == 1  # each of the 64 cells has one point
    assert discrepancy(RandomSearch()) > 1


def test_sobol_reaches_every_option_and_both_ends_of_integers():
    space = SearchSpace({"kind": Choice({"a": {"n": Int(1, 3)}, "b": {}})})
    state = Sobol().initial(space)
    found = {tuple(Sobol().propose(state, trial, 1).items()) for trial in range(32)}
    assert found == {(("kind", "a"), ("kind.n", n)) for n in (1, 2, 3)} | {(("kind", "b"),)}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TPE(opening="sobel"), "opening: .*did you mean 'sobol'"),
        (lambda: CMAES(spread=0.0), r"spread must be in \(0, 1\], got 0.0"),
        (lambda: CMAES(population=2), "population must be at least 3, or 0, got 2"),
        (lambda: GP(history=49), "history must be at least 50 trials, got 49"),
    ],
)
def test_bad_arguments_are_refused(make, text):
    with pytest.raises(ConfigurationError, match=text):
        make()


def test_a_level_that_nobody_was_in_is_drawn_alike_in_every_process():
    """The order of a set of names is not: a replay of the log would decide otherwise."""
    code = (
        "from autotune.searching import GP; from autotune.searching.snapshot import suggest;"
        "from autotune.space import Float, SearchSpace;"
        "space = SearchSpace({name: Float(0, 1) for name in 'abcdef'});"
        "print(suggest(space, [], GP().sampler(3), gaps=False))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(found) == 1


def test_cmaes_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(ConfigurationError, match="pip install cmaes"):
        CMAES().initial(BOWL)


def test_a_gaussian_process_is_told_of_no_failure(monkeypatch):
    """Optuna's would take them for trials that run, and expect of them what it expects of those."""
    seen, line = [], SearchSpace({"x": Float(0.0, 1.0)})

    def suggest(space, told, sampler, gaps, objectives, fractions):
        seen.append([one.score for one in told])
        return space.reference()

    monkeypatch.setattr("autotune.searching.snapshot.suggest", suggest)
    for searcher in (GP(startup=3), TPE(startup=3)):
        state = searcher.initial(line)
        for trial in range(9):
            config = {"x": 0.1 * trial}
            state = searcher.apply(state, Proposed(trial, config, 0, "test"))
            if trial < 8:
                failed, score = Failed(trial, trial, 0, "error", "an error"), float(trial)
                answer = failed if trial % 2 else Reported(trial, trial, 0, 1.0, score)
                state = searcher.apply(state, answer)
        searcher.propose(state, 9, 0)
    assert sorted(seen[0], key=str) == sorted([0.0, 2.0, 4.0, 6.0, None], key=str)
    assert sum(score == -math.inf for score in seen[1]) == 4
