"""Rung-aware TPE: what the model is told, and that it learns."""

import logging
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.errors import ConfigurationError
from autotune.events import Assigned, Failed, Interrupted, Proposed, Reported
from autotune.searching import TPE, RandomSearch
from autotune.searching.modelled import ELITE, Observation, Seen, bounded, modelled_rung, observations
from autotune.space import Choice, Float, SearchSpace
from autotune.testing.searchers import SPACE, SearcherContract, drive, score


class TestTPE(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return TPE(startup=5)


def state_of(events, space=SPACE):
    searcher = TPE()
    state = searcher.initial(space)
    for event in events:
        state = searcher.apply(state, event)
    return state


def trial(number, *events):
    config = SPACE.reference()
    return [Proposed(number, config, 0, "TPE"), Assigned(number, number, 0, 0.0, 1.0), *events]


def reported(number, rung, value):
    return [Assigned(100 + number, number, rung, 0.0, 1.0), Reported(100 + number, number, rung, 1.0, value)]


def told(state, rung):
    return {one.trial: one.score for one in observations(state.trials, rung)}


def test_each_trial_is_told_once_with_its_value_at_the_modelled_rung():
    state = state_of(
        [
            *trial(0, *reported(0, 0, 0.1), *reported(0, 1, 0.7)),  # at both rungs
            *trial(1, *reported(1, 0, 0.2)),  # waits or was stopped below
            *trial(2),  # runs
            *trial(3, *reported(3, 0, 0.3), Assigned(9, 3, 1, 0.0, 1.0)),  # promoted, and runs
            *trial(4, *reported(4, 0, 0.4), Failed(9, 4, 1, "memory", "")),  # failed later
            *trial(5, *reported(5, 0, math.nan)),  # diverged
            *trial(6, Interrupted(6, 6, "preempted")),  # still due
            *trial(7, *reported(7, 0, 0.1), *reported(7, 1, math.inf)),  # no finite score
        ]
    )
    worst = -math.inf
    assert told(state, 1) == {0: 0.7, 2: None, 3: None, 4: worst, 5: worst, 6: None, 7: worst}
    assert told(state, 0) == {0: 0.1, 1: 0.2, 2: None, 3: 0.3, 4: worst, 5: worst, 6: None, 7: worst}


@pytest.mark.parametrize(("first", "second", "rung"), [(9, 0, None), (10, 9, 0), (10, 10, 1), (30, 9, 0)])
def test_the_modelled_rung_is_the_highest_with_enough_finite_results(first, second, rung):
    trials = [Seen({}, {0: 0.5} | ({1: 0.5} if n < second else {}), running=False) for n in range(first)]
    failed = [Seen({}, {0: 0.1, 1: 0.1}, failed=True) for _ in range(20)]
    assert modelled_rung([*trials, *failed], needed=10) == rung


def test_trials_that_begin_above_the_lowest_rung_do_not_make_a_rung_worth_modelling():
    climbers = [Seen({}, {0: 0.5, 1: 0.5}, running=False) for _ in range(10)]
    late = [Seen({}, {2: 0.5}, running=False) for _ in range(20)]
    assert modelled_rung(climbers + late, needed=10) == 1
    assert modelled_rung(late, needed=10) == 2


def test_a_rung_needs_more_results_than_a_configuration_has_parameters():
    many = SearchSpace({f"x{n}": Float(0, 1) for n in range(15)})
    searcher, state = TPE(), TPE().initial(many)
    for number in range(16):
        assert searcher.propose(state, number, 0) == RandomSearch().propose(many, number, 0)
        config = RandomSearch().propose(many, number, 0)
        state = searcher.apply(state, Proposed(number, config, 0, "TPE"))
        state = searcher.apply(state, Reported(number, number, 0, 1.0, config["x0"]))
    assert searcher.propose(state, 16, 0) != RandomSearch().propose(many, 16, 0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(-9, 9), st.just(-math.inf)), max_size=300), st.integers(50, 80)
)
def test_history_keeps_the_best_and_the_most_recent(scores, limit):
    everything = [Observation(number, {}, value) for number, value in enumerate(scores)]
    kept = bounded(everything, limit)
    finished = [one for one in everything if one.score is not None]
    assert [one.trial for one in kept] == sorted({one.trial for one in kept})
    assert sum(one.score is not None for one in kept) == min(limit, len(finished))
    assert sum(one.score is None for one in kept) == min(limit, len(everything) - len(finished))
    ranked = sorted(finished, key=lambda one: -one.score)
    assert {one.trial for one in ranked[:ELITE]} <= {one.trial for one in kept}
    assert {one.trial for one in finished[ELITE - limit :]} <= {one.trial for one in kept}


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 20))
def test_incremental_fold_equals_replay(seed, workers):
    searcher = TPE(startup=4)
    log, asked = drive(searcher, SPACE, workers, trials=25, seed=seed)
    state = searcher.initial(SPACE)
    for event in log[: asked[-1]]:
        state = searcher.apply(state, event)
    assert searcher.propose(state, log[asked[-1]].trial, seed) == log[asked[-1]].config


def test_learns_what_is_good():
    searcher, state = TPE(), TPE().initial(SPACE)
    late = []
    for number in range(60):
        config = searcher.propose(state, number, 3)
        state = searcher.apply(state, Proposed(number, config, 0, "TPE"))
        state = searcher.apply(state, Reported(number, number, 0, 1.0, score(config)))
        late = [*late, score(config)][-20:]
    rand = [score(RandomSearch().propose(SPACE, number, 3)) for number in range(60)]
    assert sum(late) / 20 > sum(rand) / 60 + 1


def test_trials_in_flight_keep_apart():
    space = SearchSpace({"x": Float(0, 1)})
    searcher, state = TPE(), TPE().initial(space)
    for number in range(30):
        x = (number + 0.5) / 30
        state = searcher.apply(state, Proposed(number, {"x": x}, 0, "TPE"))
        state = searcher.apply(state, Reported(number, number, 0, 1.0, -abs(x - 0.5)))
    alone = [searcher.propose(state, number, 0)["x"] for number in range(30, 60)]
    crowd = []
    for number in range(30, 60):
        crowd.append(searcher.propose(state, number, 0)["x"])
        state = searcher.apply(state, Proposed(number, {"x": crowd[-1]}, 0, "TPE"))
    assert max(crowd) - min(crowd) > max(alone) - min(alone)


def test_many_failures_never_count_as_good():
    space = SearchSpace({"x": Float(0, 1)})
    searcher, state = TPE(), TPE().initial(space)
    for number in range(200):
        fails = number % 10 != 0
        config = {"x": 0.5 + number / 400 if fails else number / 400}
        state = searcher.apply(state, Proposed(number, config, 0, "TPE"))
        outcome = Failed(number, number, 0, "error", "") if fails else Reported(number, number, 0, 1.0, 0.0)
        state = searcher.apply(state, outcome)
    drawn = [searcher.propose(state, number, 0)["x"] for number in range(200, 230)]
    assert max(drawn) < 0.6


def test_a_branch_nobody_tried_can_still_be_drawn():
    space = SearchSpace({"o": Choice({"a": {"x": Float(0, 1)}, "b": {"y": Float(0, 1)}})})
    searcher, state = TPE(), TPE().initial(space)
    for number in range(12):
        config = {"o": "a", "o.x": number / 12}
        state = searcher.apply(state, Proposed(number, config, 0, "TPE"))
        state = searcher.apply(state, Reported(number, number, 0, 1.0, -1.0))
    drawn = [searcher.propose(state, number, 0) for number in range(12, 60)]
    assert "b" in {config["o"] for config in drawn}
    assert all(space.validate(config) == config for config in drawn)


def test_a_space_without_choices_is_proposed_as_it_is():
    fixed = SearchSpace({"depth": 3, "one": Float(2, 2)})
    state = TPE().initial(fixed)
    assert TPE().propose(state, 0, 0) == fixed.reference()


def test_optuna_says_nothing(caplog, capfd):
    optuna_logger = logging.getLogger("optuna")
    before = optuna_logger.level, list(optuna_logger.handlers)
    searcher = TPE(startup=5)
    drive(searcher, SPACE, 4, trials=12, seed=0)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    assert (optuna_logger.level, list(optuna_logger.handlers)) == before


def test_bounds_are_named():
    with pytest.raises(ConfigurationError, match="startup must be at least 2 results, got 1"):
        TPE(startup=1)
    with pytest.raises(ConfigurationError, match="history must be at least 50 trials, got 10"):
        TPE(history=10)
