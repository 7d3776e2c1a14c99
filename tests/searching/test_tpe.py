"""Rung-aware TPE: what the model is told, and that it learns."""

import logging
import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.errors import ConfigurationError
from autotune.events import Assigned, Failed, Interrupted, Proposed, Reported
from autotune.searching import TPE, RandomSearch
from autotune.searching.observed import ELITE, Observed
from autotune.space import Choice, Float, Int, SearchSpace
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
    return {one.trial: one.score for one in state.told(rung, 250)}


def seen(*trials):
    """Trials with scores at these rungs; those that begin with None failed after them."""
    state = Observed(SPACE)
    for number, rungs in enumerate(trials):
        for event in trial(
            number, *(one for rung in rungs if rung is not None for one in reported(number, rung, 0.5))
        ):
            state.apply(event)
        if None in rungs:
            state.apply(Failed(9, number, 9, "memory", ""))
    return state


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
    standing = [(0, 1)] * second + [(0,)] * (first - second)
    assert seen(*standing, *[(0, 1, None)] * 20).rung(needed=10) == rung


def test_trials_that_begin_above_the_lowest_rung_do_not_make_a_rung_worth_modelling():
    climbers, late = [(0, 1)] * 10, [(2,)] * 20
    assert seen(*climbers, *late).rung(needed=10) == 1
    assert seen(*late).rung(needed=10) == 2
    assert seen(*[(0, None)] * 30, *late).rung(needed=10) == 2


def test_a_rung_needs_more_results_than_a_configuration_has_parameters():
    many = SearchSpace({f"x{n}": Float(0, 1) for n in range(15)})
    searcher, state = TPE(), TPE().initial(many)
    for number in range(16):
        assert searcher.propose(state, number, 0) == RandomSearch().propose(many, number, 0)
        config = RandomSearch().propose(many, number, 0)
        state = searcher.apply(state, Proposed(number, config, 0, "TPE"))
        state = searcher.apply(state, Reported(number, number, 0, 1.0, config["x0"]))
    assert searcher.propose(state, 16, 0) != RandomSearch().propose(many, 16, 0)


WHAT_HAPPENS = st.lists(
    st.tuples(
        st.integers(0, 120),
        st.sampled_from(["assigned", "reported", "reported", "reported", "failed"]),
        st.integers(0, 2),
        st.one_of(st.integers(-9, 9).map(float), st.just(math.nan)),
    ),
    max_size=400,
)


@settings(max_examples=60, deadline=None)
@given(WHAT_HAPPENS, st.integers(0, 2), st.integers(50, 80))
def test_what_is_kept_up_is_what_a_look_at_all_trials_finds(happens, rung, limit):
    state, trials = Observed(SPACE), {}
    for number in range(121):
        state.apply(Proposed(number, SPACE.reference(), 0, "TPE"))
        trials[number] = {"scores": {}, "failed": False, "running": True}
    for number, what, at, score_there in happens:
        one = trials[number]
        if what == "assigned":
            state.apply(Assigned(0, number, at, 0.0, 1.0))
            one["running"] = True
        elif what == "failed":
            state.apply(Failed(0, number, at, "memory", ""))
            one.update(running=False, failed=True)
        else:
            state.apply(Reported(0, number, at, 1.0, score_there))
            one["running"] = False
            if math.isnan(score_there):
                one["failed"] = True
            else:
                one["scores"][at] = score_there
    ended, running = {}, []
    for number, one in trials.items():
        if one["failed"] or rung in one["scores"]:
            ended[number] = -math.inf if one["failed"] else one["scores"][rung]
        elif one["running"]:
            running.append(number)
    best = sorted(ended, key=lambda number: -ended[number])[:ELITE]
    rest = [number for number in ended if number not in best][-(limit - len(best)) :]
    expected = dict.fromkeys(running[-limit:]) | {number: ended[number] for number in (*best, *rest)}
    found = state.told(rung, limit)
    assert [one.trial for one in found] == sorted(expected)
    assert {one.trial: one.score for one in found} == expected
    standing = [one["scores"] for one in trials.values() if one["scores"] and not one["failed"]]
    lowest = min((min(scores) for scores in standing), default=0)
    counts = [sum(at in scores and min(scores) == lowest for scores in standing) for at in range(3)]
    assert state.rung(5) == max((at for at in range(3) if counts[at] >= 5), default=None)


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


BRANCHES = SearchSpace(
    {
        "arm": Choice(
            {
                "rare": {"share": Float(0, 1), "own": Float(0, 1)},
                "often": {"share": Float(0, 1)},
                "other": {"share": Float(0, 2)},
            }
        )
    }
)


def drawn(rare, kind, draws=30):
    """Proposals for the rare arm once many trials of another have told that a share near .8 is best."""
    searcher, state = TPE(), TPE().initial(BRANCHES)
    for trial in range(60):
        share = (trial * 0.37) % 1.0
        arm = {"arm": "rare", "arm.own": 0.5} if trial < rare else {"arm": kind}
        config = {**arm, "arm.share": share}
        state = searcher.apply(state, Proposed(trial, config, 0, "test"))
        value = -abs(share - (0.2 if trial < rare else 0.8))
        state = searcher.apply(state, Reported(trial, trial, 0, 1.0, value))
    found = (searcher.propose(state, trial, 7) for trial in range(60, 60 + 8 * draws))
    return [config["arm.share"] for config in found if config["arm"] == "rare"]


def test_a_branch_with_few_results_borrows_those_of_another_with_the_same_parameter():
    assert statistics.median(drawn(2, "often")) == pytest.approx(0.8, abs=0.15)
    assert abs(statistics.median(drawn(2, "other")) - 0.8) > 0.15  # of another range, so of another meaning
    assert statistics.median(drawn(12, "often")) == pytest.approx(0.2, abs=0.15)  # it has its own


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("best", [40, 400])
def test_whole_numbers_of_a_wide_range_stay_whole_and_inside_and_are_found(log, best):
    space = SearchSpace({"n": Int(40, 400, log=log)})
    state = TPE().initial(space)
    found = []
    for trial in range(60):
        config = TPE().propose(state, trial, 0)
        found.append(config["n"])
        assert isinstance(config["n"], int)
        gap = abs(math.log(config["n"] / best))
        state = TPE().apply(state, Proposed(trial, config, 0, "test"))
        state = TPE().apply(state, Reported(trial, trial, 0, 1.0, -gap))
    assert 40 <= min(found) <= max(found) <= 400
    late, early = (
        statistics.median(abs(math.log(n / best)) for n in part) for part in (found[40:], found[:20])
    )
    assert late < early / 2


def test_single_whole_numbers_are_told_as_such_where_one_takes_much_of_the_range():
    for few in (Int(1, 20), Int(1, 1000, log=True)):
        space = SearchSpace({"n": few})
        state = TPE().initial(space)
        for trial in range(60):
            config = TPE().propose(state, trial, 0)
            state = TPE().apply(state, Proposed(trial, config, 0, "test"))
            state = TPE().apply(state, Reported(trial, trial, 0, 1.0, float(config["n"] != few.low)))
        assert few.low not in [TPE().propose(state, 60, seed)["n"] for seed in range(20)]
