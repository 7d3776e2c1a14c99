"""Who is confirmed, and which scores are compared."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.evaluation.weighing import ranking
from autotune.events import CONFIRM, SEARCH, Assigned, Failed, PhaseStarted, Proposed, Reported, TestRead
from autotune.history import History
from autotune.study.confirmation import (
    FIRST,
    candidates,
    confirmed,
    contest,
    finalists,
    verdict,
)
from autotune.study.plan import Confirm

SEEDS = 3
CONFIRM_PLAN = Confirm(leaders=1, seeds=SEEDS)
ARMS = ("el2n", "fresh_random", "full")


def trained(history, number, config, score, phase=SEARCH, origin=None):
    history.apply(Proposed(number, config, number, "test", phase, origin))
    history.apply(Assigned(number, number, 0, 0.0, 1.0))
    history.apply(Reported(number, number, 0, 1.0, score))


@pytest.fixture
def searched():
    history = History()
    trained(history, 0, {"policy": "el2n", "policy.fraction": 0.2}, 0.9)
    trained(history, 1, {"policy": "fresh_random", "policy.fraction": 0.2}, 0.8)
    trained(history, 2, {"policy": "full"}, 0.7)
    return history


def test_no_configuration_is_confirmed_twice(searched):
    configs = [dict(candidate.config) for candidate in candidates(searched, CONFIRM_PLAN, ARMS)]
    assert sorted(config["policy"] for config in configs) == ["el2n", "fresh_random", "full"]


def test_a_baseline_that_was_left_behind_is_no_rival_and_the_leaders_settings_are(searched):
    searched.apply(Assigned(9, 0, 1, 1.0, 3.0))
    searched.apply(Reported(9, 0, 1, 3.0, 0.95))
    configs = [dict(candidate.config) for candidate in candidates(searched, CONFIRM_PLAN, ARMS)]
    assert configs == [
        {"policy": "el2n", "policy.fraction": 0.2},
        {"policy": "fresh_random", "policy.fraction": 0.2},
        {"policy": "full"},
    ]
    origins = [candidate.origin for candidate in candidates(searched, CONFIRM_PLAN, ARMS)]
    assert origins == [0, None, None]


def climbed(history, number, *scores):
    history.apply(Proposed(number, {"policy": "full", "lr": number}, number, "test", SEARCH, None))
    for rung, score in enumerate(scores):
        if score is not None:
            history.apply(Assigned(10 * number + rung, number, rung, 0.0, 3.0**rung))
            history.apply(Reported(10 * number + rung, number, rung, 3.0**rung, score))


def test_who_waits_when_the_budget_ends_stands_before_those_it_beat():
    history = History()
    climbed(history, 0, 0.1, 0.5, 0.9)
    climbed(history, 1, 0.1, 0.3, 0.8)
    climbed(history, 2, 0.1, 0.4)  # beat 1 at rung 1
    climbed(history, 3, 0.7)  # two rungs below
    climbed(history, 4, 0.1, 0.45)  # beat 1, and 2
    climbed(history, 5, None, None, 0.7)  # never seen at rung 1: nobody beat it there
    climbed(history, 6, 0.1, 0.2)
    assert [trial.number for trial in ranking(history.of_phase(SEARCH))] == [0, 4, 2, 1, 5, 6, 3]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 5), min_size=4, max_size=4)), max_size=30)
)
def test_ranking_is_as_if_who_waits_were_put_in_one_by_one(climbs):
    history = History()
    for number, (rung, scores) in enumerate(climbs):
        climbed(history, number, *map(float, scores[: rung + 1]))
    trials = history.of_phase(SEARCH)
    ranked = sorted(trials, key=lambda trial: (-trial.rung, -trial.score, trial.number))
    top = [trial for trial in ranked if trial.rung == ranked[0].rung]
    for waiting in (trial for trial in ranked if trial.rung == ranked[0].rung - 1):
        beaten = [at for at, trial in enumerate(top) if waiting.score > trial.scores[waiting.rung]]
        top.insert(min(beaten, default=len(top)), waiting)
    others = [trial for trial in ranked if trial not in top]
    assert ranking(trials) == top + others


def repeated(history, candidates, seeds, score):
    """Train each once per seed, seed by seed."""
    for _ in range(seeds):
        for one in candidates:
            trained(history, len(history.trials), one.config, score(one), CONFIRM, one.origin)


def last(history, chosen):
    return [one.candidate for one in finalists(confirmed(history, chosen))]


def test_the_field_is_narrowed_to_the_best_two_and_the_best_of_each_baseline(searched):
    for number in (3, 4, 5):
        trained(searched, number, {"policy": "el2n", "policy.fraction": number / 10}, 0.9 + number / 100)
    chosen = candidates(searched, replace(CONFIRM_PLAN, leaders=4), ARMS)
    searched.apply(PhaseStarted(CONFIRM, ""))
    marks = {str(one): 0.9 - 0.1 * place for place, one in enumerate(chosen)}
    repeated(searched, chosen, FIRST, lambda one: marks[str(one)])
    kept = last(searched, chosen)
    assert chosen[0] in kept
    assert chosen[1] in kept
    arms = [one.config["policy"] for one in kept]
    assert {"full", "fresh_random"} <= set(arms)
    assert len(kept) < len(chosen)
    repeated(
        searched, kept, SEEDS - FIRST, lambda one: 0.5
    )  # all finalists fall behind the others' first two
    entries = confirmed(searched, chosen)
    assert {len(one.trials) for one in entries if one.candidate in kept} == {SEEDS}
    assert {len(one.trials) for one in entries if one.candidate not in kept} == {FIRST}
    winner, baselines = contest(entries)
    assert all(one.candidate in kept for one in [winner, *baselines.values()])


def test_a_test_score_is_never_compared_with_a_validation_score(searched):
    chosen = candidates(searched, CONFIRM_PLAN, ARMS)
    searched.apply(PhaseStarted(CONFIRM, ""))
    repeated(searched, chosen, FIRST, lambda candidate: 0.9)
    repeated(searched, last(searched, chosen), SEEDS - FIRST, lambda candidate: 0.9)
    for entry in confirmed(searched, chosen):
        for repetition, trial in enumerate(entry.trials):
            ours = repetition == 0 and entry.arm == "el2n"
            read = Failed(0, trial.number, 0, "memory", "") if ours else TestRead(0, trial.number, 0.5)
            searched.apply(read)
    concluded = verdict(searched, CONFIRM_PLAN, chosen)
    assert [one["pairs"] for one in concluded["comparisons"]] == [SEEDS - 1] * 2
    assert all(math.isclose(one["mean"], 0.0) for one in concluded["comparisons"])
