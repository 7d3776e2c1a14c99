"""Who is confirmed, and which scores are compared."""

import math

import pytest

from autotune.events import CONFIRM, SEARCH, Assigned, Failed, PhaseStarted, Proposed, Reported, TestRead
from autotune.history import History
from autotune.study.confirmation import candidates, confirmed, ranking, verdict
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


def test_a_test_score_is_never_compared_with_a_validation_score(searched):
    chosen = candidates(searched, CONFIRM_PLAN, ARMS)
    searched.apply(PhaseStarted(CONFIRM, ""))
    for number in range(3, 3 + SEEDS * len(chosen)):
        candidate = chosen[(number - 3) % len(chosen)]
        trained(searched, number, candidate.config, 0.9, CONFIRM, candidate.origin)
    for entry in confirmed(searched, chosen):
        for repetition, trial in enumerate(entry.trials):
            ours = repetition == 0 and entry.arm == "el2n"
            read = Failed(0, trial.number, 0, "memory", "") if ours else TestRead(0, trial.number, 0.5)
            searched.apply(read)
    concluded = verdict(searched, CONFIRM_PLAN, chosen)
    assert [one["pairs"] for one in concluded["comparisons"]] == [SEEDS - 1] * 2
    assert all(math.isclose(one["mean"], 0.0) for one in concluded["comparisons"])
