"""The fair start: who has a turn, with whose settings, and who rests afterwards."""

import math

import pytest

from autotune.errors import ConfigurationError
from autotune.events import Failed, Proposed, Reported
from autotune.searching import TPE, FairStart, GridSearch, RandomSearch, StartingPoints
from autotune.searching.base import Searcher
from autotune.space import Choice, Float, SearchSpace
from autotune.testing.searchers import SPACE, SearcherContract

POINTS = ({"optimizer": "adamw", "optimizer.lr": 1e-3, "width": 16, "batch_size": 64},)


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


def judged(searcher, results, rung=1):
    """A state in which each option has the given scores, None for a failure."""
    state, trial = searcher.initial(POLICIES), 0
    for option, scores in results.items():
        for score in scores:
            state = searcher.apply(state, Proposed(trial, {"policy": option}, 0, "test"))
            failed = Failed(trial, trial, rung, "memory", "")
            state = searcher.apply(
                state, failed if score is None else Reported(trial, trial, rung, 1.0, score)
            )
            trial += 1
    return state


ONE_EACH = {"full": [0.5, 0.6, 0.7], "fresh_random": [0.1], "el2n": [0.4], "k_center": [0.65]}


def test_an_option_rests_while_none_of_its_trials_is_among_the_best_where_it_got():
    searcher = FairStart(RandomSearch(), reduction=3)
    assert searcher.resting(judged(searcher, ONE_EACH)) == {"el2n"}  # the best third of six are two
    assert searcher.resting(judged(searcher, ONE_EACH | {"el2n": [0.4, 0.66]})) == {"k_center"}
    assert FairStart(RandomSearch(), reduction=1).resting(judged(searcher, ONE_EACH)) == set()


def test_what_was_not_judged_does_not_rest_and_what_failed_does():
    searcher = FairStart(RandomSearch())
    state = judged(searcher, ONE_EACH | {"el2n": [None], "k_center": [math.nan]})
    assert searcher.resting(state) == {"el2n", "k_center"}
    state = searcher.apply(state, Proposed(99, {"policy": "glister"}, 0, "test"))
    assert "glister" not in searcher.resting(state)


def test_a_promotion_that_goes_well_wakes_an_option_and_one_that_does_not_lays_it_to_rest():
    searcher = FairStart(RandomSearch())
    state = judged(searcher, ONE_EACH)
    state = searcher.apply(state, Reported(9, 4, 2, 3.0, 0.8))  # el2n, alone at its rung
    assert searcher.resting(state) == set()
    for trial, score in ((1, 0.9), (2, 0.95)):
        state = searcher.apply(state, Reported(9 + trial, trial, 2, 3.0, score))
    assert searcher.resting(state) == {"el2n"}


class Insists(Searcher):
    """Proposes el2n, whatever happened."""

    def initial(self, space):
        return None

    def apply(self, state, event):
        return state

    def propose(self, state, trial, seed):
        return {"lr": 0.5, "policy": "el2n", "policy.fraction": 0.2}


def test_settings_proposed_for_an_option_that_rests_are_tried_under_another():
    searcher = FairStart(Insists(), settle=0)
    state = judged(searcher, {"full": [0.5, 0.6, 0.7], "fresh_random": [0.1], "el2n": [0.4]})
    proposed = [searcher.propose(state, trial, seed=2) for trial in range(10, 30)]
    assert {config["policy"] for config in proposed} == {"full", "fresh_random"}
    assert {config["lr"] for config in proposed} == {0.5}
    assert all(POLICIES.validate(config) == config for config in proposed)
    assert proposed == [searcher.propose(state, trial, seed=2) for trial in range(10, 30)]


def test_where_everything_rests_the_searcher_has_its_way():
    space = SearchSpace({"policy": Choice({"el2n": {}, "k_center": {}})})
    searcher = FairStart(Insists(), settle=0)
    state = searcher.initial(space)
    for trial, option in enumerate(space.options("policy")):
        state = searcher.apply(state, Proposed(trial, {"policy": option}, 0, "test"))
        state = searcher.apply(state, Failed(trial, trial, 0, "memory", ""))
    assert searcher.propose(state, 2, seed=0)["policy"] == "el2n"


@pytest.mark.parametrize("inner", [GridSearch(), StartingPoints(TPE(), POINTS), FairStart()])
def test_a_fair_start_takes_no_trials_from_a_searcher_that_counts_them(inner):
    with pytest.raises(
        ConfigurationError, match=r"must not count .*StartingPoints\(FairStart\(\.\.\.\), points"
    ):
        FairStart(inner)
