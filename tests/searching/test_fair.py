"""The fair start: who has a turn, with whose settings, and who rests afterwards."""

import math

import pytest

from autotune.errors import ConfigurationError
from autotune.events import Failed, Opened, Proposed, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.searching import TPE, FairStart, GridSearch, RandomSearch, StartingPoints
from autotune.searching.base import Searcher
from autotune.searching.standing import NOWHERE, Standing
from autotune.space import Choice, Float, SearchSpace
from autotune.testing.searchers import SPACE, SearcherContract

POINTS = ({"optimizer": "adamw", "optimizer.lr": 1e-3, "width": 16, "batch_size": 64},)


class TestFairStartThenTPE(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return FairStart(TPE(startup=5), rounds=2, choice="optimizer")


class Insists(Searcher):
    """Proposes el2n, whatever happened."""

    def initial(self, space):
        return None

    def apply(self, state, event):
        return state

    def propose(self, state, trial, seed):
        return {"lr": 0.5, "policy": "el2n", "policy.fraction": 0.2}


def begin(searcher, space=SPACE, **study):
    return searcher.apply(searcher.initial(space), Opened(study))


def answered(searcher, state, trial, score=0.0, rung=0, seed=1):
    """The next proposal, and the state once it has that score at that rung."""
    config = searcher.propose(state, trial, seed)
    state = searcher.apply(state, Proposed(trial, config, 0, "test"))
    return config, searcher.apply(state, Reported(trial, trial, rung, 1.0, score))


def test_a_fair_start_tries_every_option_in_turn():
    searcher = FairStart(TPE(), rounds=3, settle=2, choice="optimizer")
    state, tried = begin(searcher), []
    for trial in range(3 * 2):
        config, state = answered(searcher, state, trial)
        tried.append(config)
    options = list(SPACE.options("optimizer"))
    assert [config["optimizer"] for config in tried] == options * 3
    assert all(SPACE.validate(config) == config for config in tried)
    assert len({str(config) for config in tried}) == len(tried)


POLICIES = SearchSpace(
    {
        "lr": Float(1e-3, 1.0, log=True),
        "policy": Choice(
            {
                "full": {},
                "el2n": {"fraction": Float(0.1, 0.5), "interval": 0.1, "pool": 0.5},
                "small_loss": {"fraction": 0.3, "interval": 0.1, "warmup": 0.5},
                "random": {"fraction": 0.3},
                "fresh_random": {},
            }
        ),
    }
)
RUNGS = [1.0, 3.0, 9.0]


def test_a_fair_start_settles_on_the_baselines_and_tries_the_others_with_the_leaders_settings():
    searcher = FairStart(RandomSearch(), rounds=2, settle=4)
    state = begin(searcher, POLICIES)
    for trial in range(4):
        config, state = answered(searcher, state, trial, score=trial, rung=int(trial < 2))
        assert config["policy"] == ["full", "fresh_random"][trial % 2]
    leader = state.standing.configs[1]  # at the highest rung, whatever others have below
    others = []
    for trial in range(4, 10):
        config, state = answered(searcher, state, trial, score=-1.0)
        others.append(config)
    assert [config["policy"] for config in others] == ["el2n", "small_loss", "random"] * 2
    assert {config["lr"] for config in others} == {leader["lr"]}
    assert len({config.get("policy.fraction") for config in others[::3]}) == 2
    searched = searcher.propose(state, 10, seed=1)
    plain = RandomSearch()
    assert searched["lr"] == plain.propose(plain.initial(POLICIES), 10, seed=1)["lr"]


def test_a_policy_waits_for_a_leader_at_the_rung_where_it_is_judged_first():
    searcher = FairStart(RandomSearch(), settle=1)
    state = begin(searcher, POLICIES, rungs=RUNGS)
    _, state = answered(searcher, state, 0, score=1.0, rung=0)
    turns = []
    for trial, rung in ((1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 2), (7, 2), (8, 2)):
        config, state = answered(searcher, state, trial, score=1.0, rung=rung)
        turns.append(config["policy"])
    baselines = {"full", "fresh_random"}
    assert turns[0] == "random"  # reads nothing but what the data has, so it can be judged at once
    assert set(turns[1:3]) <= baselines  # nobody has come as far as the second rung
    assert turns[3] == "el2n"
    assert set(turns[4:6]) <= {*baselines, "el2n", "random"}  # those who had their turn may be searched
    assert "small_loss" in turns[6:]  # its warm-up ends beyond the second rung


def turns_after(searcher, state):
    """The policies, baselines aside, that are tried in many more trials, all of which do badly."""
    seen = set()
    for trial in range(1, 30):
        config, state = answered(searcher, state, trial, score=-1.0)
        seen.add(config["policy"])
    return seen - {"full", "fresh_random"}


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"epochs": 90.0}, {"el2n", "small_loss", "random"}),
        ({"epochs": 30.0}, {"el2n", "random"}),  # small_loss is judged at 9
        ({"epochs": 2.0}, set()),
        ({"trials": 3}, {"el2n"}),
        ({"trials": None, "epochs": None}, {"el2n", "small_loss", "random"}),
    ],
)
def test_turns_take_no_more_than_their_share_of_the_budget(budget, expected):
    searcher = FairStart(RandomSearch(), settle=1, reduction=3, share=1 / 3)
    state = begin(searcher, POLICIES, rungs=RUNGS, plan={"budget": budget})
    _, state = answered(searcher, state, 0, score=9.0, rung=2)
    assert turns_after(searcher, state) == expected


def test_turns_are_charged_at_the_size_of_the_leaders_model():
    searcher = FairStart(RandomSearch(), settle=1, share=1 / 9)
    given = {"rungs": RUNGS, "plan": {"budget": {"epochs": 90.0}}, "reference_flops": 100.0}
    for size, expected in ((1.0, {"el2n", "random"}), (2.0, {"el2n", "random"}), (4.0, {"random"})):
        state = begin(searcher, POLICIES, **given)
        config = searcher.propose(state, 0, 1)
        state = searcher.apply(state, Proposed(0, config, 0, "test"))
        ledger = Ledger({Label.TRAIN: Charge(size * 900.0, 1.0)})
        state = searcher.apply(state, Reported(0, 0, 2, 9.0, 1.0, {}, ledger))
        assert turns_after(searcher, state) == expected


def test_a_fair_start_without_a_leader_leaves_the_others_waiting():
    searcher = FairStart(Insists(), settle=0)
    state = begin(searcher, POLICIES)
    state = searcher.apply(state, Proposed(0, POLICIES.reference(), 0, "test"))
    state = searcher.apply(state, Reported(0, 0, rung=0, fidelity=1.0, score=float("nan")))
    assert searcher.propose(state, 1, seed=1)["policy"] in {"full", "fresh_random"}


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


UNJUDGED = {"small_loss", "random"}
ONE_EACH = {"full": [0.5, 0.6, 0.7], "fresh_random": [0.1], "el2n": [0.4], "k_center": [0.65]}


def test_an_option_rests_while_none_of_its_trials_is_among_the_best_where_it_got():
    searcher = FairStart(RandomSearch(), reduction=3)
    assert searcher.resting(judged(searcher, ONE_EACH)) == {
        "el2n",
        *UNJUDGED,
    }  # of six, two are best
    assert searcher.resting(judged(searcher, ONE_EACH | {"el2n": [0.4, 0.66]})) == {"k_center", *UNJUDGED}
    assert FairStart(RandomSearch(), reduction=1).resting(judged(searcher, ONE_EACH)) == UNJUDGED


def test_what_was_not_judged_rests_only_beside_baselines_and_what_failed_does_everywhere():
    searcher = FairStart(RandomSearch())
    state = judged(searcher, ONE_EACH | {"el2n": [None], "k_center": [math.nan]})
    assert searcher.resting(state) == {"el2n", "k_center", "small_loss", "random"}
    space = SearchSpace({"policy": Choice({"el2n": {}, "k_center": {}, "glister": {}})})
    state = searcher.initial(space)
    state = searcher.apply(state, Proposed(0, {"policy": "el2n"}, 0, "test"))
    state = searcher.apply(state, Failed(0, 0, 0, "memory", ""))
    assert searcher.resting(state) == {"el2n"}


def test_a_promotion_that_goes_well_wakes_an_option_and_one_that_does_not_lays_it_to_rest():
    searcher = FairStart(RandomSearch())
    state = judged(searcher, ONE_EACH)
    state = searcher.apply(state, Reported(9, 4, 2, 3.0, 0.8))  # el2n, alone at its rung
    assert searcher.resting(state) == UNJUDGED
    for trial, score in ((1, 0.9), (2, 0.95)):
        state = searcher.apply(state, Reported(9 + trial, trial, 2, 3.0, score))
    assert searcher.resting(state) == {"el2n", *UNJUDGED}


def test_settings_proposed_for_an_option_that_rests_are_tried_under_another():
    searcher = FairStart(Insists(), settle=0)
    lost = {"el2n": [0.4], "small_loss": [0.3], "random": [0.2]}
    state = judged(searcher, {"full": [0.5, 0.6, 0.7, 0.65], "fresh_random": [0.1]} | lost)
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


def test_settings_that_came_to_fail_are_handed_to_nobody():
    standing = Standing()
    for trial, score in enumerate((0.7, 0.8, 0.9)):
        standing.apply(Proposed(trial, {"lr": 0.1}, 0, "test"))
        standing.apply(Reported(trial, trial, 0, 1.0, score))
    assert standing.leader == 2
    standing.apply(Failed(3, 2, 1, "diverged", "NaN"))
    assert (standing.leader, standing.best) == (1, (0, 0.8))
    standing.apply(Reported(4, 0, 1, 2.0, 0.1))  # higher up, whatever the score
    assert (standing.leader, standing.best) == (0, (1, 0.1))
    standing.apply(Reported(5, 0, 2, 4.0, math.nan))
    assert standing.leader == 1
    standing.apply(Failed(6, 1, 1, "error", "an error"))
    assert (standing.leader, standing.best) == (None, NOWHERE)


def test_options_may_be_numbers():
    space = SearchSpace({"lr": Float(0.0, 1.0), "width": Choice([16, 32, 64])})
    searcher = FairStart(RandomSearch(), settle=3, choice="width")
    state, tried = begin(searcher, space), []
    for trial in range(12):
        config = searcher.propose(state, trial, 1)
        assert space.validate(config) == config
        _, state = answered(searcher, state, trial, score=-config["width"] - trial / 100)
        tried.append(config["width"])
    assert tried[:3] == [16, 32, 64]
    assert searcher.resting(state) >= {"32", "64"}
    assert 16 in tried[3:]


def test_a_choice_below_another_one_has_no_fair_start():
    kinds = {"adaptive": {"kind": Choice(["adamw", "adam"])}, "sgd": {}}
    space = SearchSpace({"optimizer": Choice(kinds)})
    searcher = FairStart(RandomSearch(), choice="optimizer.kind")
    state = begin(searcher, space)
    assert state.settlers == ()
    assert searcher.propose(state, 0, 1) == RandomSearch().propose(space, 0, 1)
