"""Judging by where curves lead: the contract, and that it helps where it can and does no harm where not."""

import random
from statistics import fmean

import pytest

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Assigned, Proposed, Reported
from autotune.scheduling.asha import ASHA
from autotune.scheduling.base import Promote, Start
from autotune.scheduling.extrapolating import Extrapolating, trust
from autotune.testing.schedulers import SchedulerContract, drive

PLAIN = ASHA(horizon=81.0, lowest=1.0)


class TestExtrapolating(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return Extrapolating(ASHA(horizon=9.0, lowest=1.0))


class TestExtrapolatingStops(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return Extrapolating(ASHA(horizon=9.0, lowest=1.0, variant="stopping"))


def searched(scheduler, score, trials):
    """What the trial ends with that is best where most was trained, and the state, with one worker."""
    state, number, assignments, best = scheduler.initial(), 0, 0, (-1, 0.0, -1)
    while True:
        decision = scheduler.decide(state)
        if isinstance(decision, Start):
            if number == trials:
                return score(best[2], len(scheduler.rungs) - 1), state
            state = scheduler.apply(state, Proposed(number, {}, 0, "t", SEARCH))
            decision, number = Promote(number, 0), number + 1
        trial, rung, until = decision.trial, decision.rung, scheduler.rungs[decision.rung]
        state = scheduler.apply(state, Assigned(assignments, trial, rung, 0.0, until))
        state = scheduler.apply(state, Reported(assignments, trial, rung, until, score(trial, rung)))
        best, assignments = max(best, (rung, score(trial, rung), trial)), assignments + 1


def curve(kind, seed):
    """Scores by trial and rung of five; `u` and `v` differ by trial."""

    def score(trial, rung):
        u, v = random.Random(f"{seed} {trial}").random(), random.Random(f"{trial} {seed}").random()
        return {
            "late": u + v * (rung - 2) / 2,  # who rises late ends best
            "crossing": v * (-1.0, -0.7, -0.3, 0.3, 1.0)[rung],  # all ranks are reversed
            "overshooting": v - u * (1.0, 0.0, 0.3, 0.4, 0.5)[rung],  # who rose fast falls back
            "noise": random.Random(f"{seed} {trial} {rung}").random(),
        }[kind]

    return score


def found(kind, seeds=4, trials=243):
    """Mean end of the winners, with plain scores and with extrapolation."""
    curves = [curve(kind, seed) for seed in range(seeds)]
    return [
        fmean(searched(scheduler, one, trials)[0] for one in curves)
        for scheduler in (PLAIN, Extrapolating(PLAIN))
    ]


def test_who_still_rises_is_promoted():
    plain, extrapolating = found("late")
    assert extrapolating > plain + 0.05


@pytest.mark.parametrize("kind", ["crossing", "overshooting", "noise"])
def test_where_curves_mislead_it_is_no_worse_than_asha(kind):
    plain, extrapolating = found(kind)
    assert extrapolating > plain - 0.05


def test_until_predictions_were_better_it_decides_as_without():
    for seed in range(3):  # random scores: nothing can be predicted, and sixty trials prove nothing
        assert drive(Extrapolating(PLAIN), 4, 60, seed) == drive(PLAIN, 4, 60, seed)


def test_trust_is_in_what_ranked_better():
    chance = random.Random(0)
    score = [chance.random() for _ in range(40)]
    lead = [chance.random() for _ in range(40)]
    assert trust([(s, x, s + x) for s, x in zip(score, lead, strict=True)]) == 1.0
    assert trust([(s, x, s + 0.3 * x) for s, x in zip(score, lead, strict=True)]) == 0.25
    assert trust([(s, x, s) for s, x in zip(score, lead, strict=True)]) == 0.0
    assert trust([(s, x, s - x) for s, x in zip(score, lead, strict=True)]) == 0.0
    assert trust([(s, 0.0, x) for s, x in zip(score, lead, strict=True)]) == 0.0
    assert trust([(0.0, 1.0, 1.0)] * 3) == 0.0


def test_it_is_not_put_around_itself():
    with pytest.raises(ConfigurationError, match="give the one inside"):
        Extrapolating(Extrapolating(PLAIN))
