"""ASHA: its contract, and what a rung decides."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import ConfigurationError
from autotune.events import Assigned, Proposed, Reported
from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.asha import ASHA, Variant, judge
from autotune.scheduling.base import Promote, Start
from autotune.scheduling.full import FullTraining
from autotune.scheduling.hyperband import Hyperband
from autotune.scheduling.rung import Rung, geometric_rungs
from autotune.testing.schedulers import SchedulerContract, drive

scores = st.lists(st.one_of(st.floats(-5, 5), st.just(math.nan)), min_size=1, max_size=60)


class TestPromotion(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return ASHA(horizon=9.0, lowest=1.0, reduction=3)


class TestStopping(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return ASHA(horizon=3.0, lowest=0.3, reduction=2, variant=Variant.STOPPING)


class TestFull(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return FullTraining(horizon=2.0, reports=4)


@given(scores)
def test_promotion_takes_the_best_first_and_never_more_than_their_share(results):
    rung = Rung()
    promoted = []
    for trial, score in enumerate(results):
        rung.record(score, trial)
        while (best := next(rung.promotable(3), None)) is not None:
            promoted.append(best)
            rung.promoted(best)
    finite = [score for score in results if math.isfinite(score)]
    assert len(promoted) == len(set(promoted))
    assert all(math.isfinite(results[trial]) for trial in promoted)
    top = sorted(finite, reverse=True)[: len(results) // 3]
    # whoever is in the final top third was promoted at some point; others may have been, earlier
    assert all(any(results[trial] >= score for trial in promoted) for score in top)
    assert set(sorted(range(len(results)), key=lambda t: (-results[t], t))[: len(results) // 3]) >= {
        trial for trial in promoted if results[trial] > (top[0] if top else math.inf)
    }


@given(scores)
def test_judge_keeps_a_share_and_no_nan(results):
    rung = Rung()
    for trial, score in enumerate(results):
        rung.record(score, trial)
    kept = [score for score in results if judge(0, score, rung, 3)]
    limit = max(1, len(results) // 3)
    assert all(math.isfinite(score) for score in kept)
    assert len(set(kept)) <= limit  # ties stay together
    if any(math.isfinite(score) for score in results):
        assert max(score for score in results if math.isfinite(score)) in kept


def test_a_rung_of_failures_promotes_its_only_success_once_it_earned_it():
    rung = Rung()
    rung.record(math.nan, 0)
    rung.record(math.nan, 1)
    assert not list(rung.promotable(3))
    rung.record(-7.0, 2)
    assert list(rung.promotable(3)) == [2]


def test_higher_rungs_come_first():
    asha = ASHA(horizon=4.0, lowest=1.0, reduction=2)
    state = asha.initial()
    for trial in range(4):
        state = asha.apply(state, Proposed(trial, {}, 0, "t"))
        state = asha.apply(state, Assigned(trial, trial, 0, 0.0, 1.0))
        state = asha.apply(state, Reported(trial, trial, 0, 1.0, float(trial)))
    assert asha.decide(state) == Promote(3, 1)
    state = asha.apply(state, Assigned(4, 3, 1, 1.0, 2.0))
    assert asha.decide(state) == Promote(2, 1)
    state = asha.apply(state, Assigned(5, 2, 1, 1.0, 2.0))
    assert asha.decide(state) == Start()
    state = asha.apply(state, Reported(4, 3, 1, 2.0, 3.0))
    state = asha.apply(state, Reported(5, 2, 1, 2.0, 9.0))
    assert asha.decide(state) == Promote(2, 2)


def test_a_trial_may_enter_above_the_first_rung():
    asha = ASHA(horizon=4.0, lowest=1.0, reduction=2)
    state = asha.initial()
    for trial in (0, 1):
        state = asha.apply(state, Proposed(trial, {}, 0, "t"))
        state = asha.apply(state, Assigned(trial, trial, 1, 0.0, 2.0))
        state = asha.apply(state, Reported(trial, trial, 1, 2.0, float(trial)))
    assert asha.decide(state) == Promote(1, 2)


@pytest.mark.parametrize("scheduler", [ASHA(9.0, 1.0), AdaptiveASHA(9.0, 1.0, probation=0, share=0.0)])
def test_who_begins_where_others_had_to_earn_it_competes_without_raising_the_quota(scheduler):
    """Policies that are judged late would otherwise be promoted among themselves, whoever they beat."""
    state, number = scheduler.initial(), 0

    def result(trial, rung, score):
        nonlocal state, number
        since = 0.0 if trial > 2 or rung == 0 else scheduler.rungs[rung - 1]
        state = scheduler.apply(state, Assigned(number, trial, rung, since, scheduler.rungs[rung]))
        state = scheduler.apply(state, Reported(number, trial, rung, scheduler.rungs[rung], score))
        number += 1

    for trial in range(9):
        state = scheduler.apply(state, Proposed(trial, {}, 0, "t"))
    for trial in range(3):
        result(trial, 0, float(trial))
    result(2, 1, 2.0)
    for trial in range(3, 8):
        result(trial, 1, 1.0 - trial / 10)  # all worse than the one that climbed
    assert scheduler.decide(state) == Start()
    result(8, 1, 3.0)  # better than it, and still alone among one that counts
    assert scheduler.decide(state) == Start()


def test_more_trials_are_never_spent_on_the_top_than_on_the_bottom():
    rungs = [0, 0, 0]
    for event in drive(ASHA(horizon=9.0, lowest=1.0), 5, trials=90, seed=0):
        if isinstance(event, Assigned):
            rungs[event.rung] += 1
    assert rungs[0] == 90
    assert rungs[0] > 2 * rungs[1] > 4 * rungs[2] > 0  # a third, and those who were in it for a while


def test_geometric_rungs_end_at_the_highest():
    assert geometric_rungs(1.0, 27.0, 3) == pytest.approx((1.0, 3.0, 9.0, 27.0))
    assert geometric_rungs(2.0, 2.0, 3) == (2.0,)
    assert geometric_rungs(1.0, 50.0, 3)[::4] == (
        1.0,
        50.0,
    )  # the lowest is the lowest, whatever lies between


@pytest.mark.parametrize(
    "arguments",
    [
        {"horizon": 0.0},
        {"horizon": math.inf},
        {"horizon": 1.0, "lowest": 2.0},
        {"horizon": 1.0, "lowest": 0.0},
        {"horizon": 1.0, "reduction": 1},
    ],
)
def test_settings_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigurationError, match="must be"):
        ASHA(**arguments)


def test_an_unknown_variant_is_told_the_nearest():
    with pytest.raises(ConfigurationError, match="unknown variant 'promoting'; did you mean 'promotion'"):
        ASHA(horizon=1.0, variant="promoting")


@pytest.mark.parametrize("kind", [ASHA, AdaptiveASHA, Hyperband])
def test_the_best_of_those_who_fit_goes_on_and_the_others_keep_waiting(kind):
    scheduler, count = kind(9.0, 1.0), 12
    state = scheduler.initial()
    for trial in range(count):
        for event in (
            Proposed(trial, {}, 0, "test"),
            Assigned(trial, trial, 0, 0.0, 1.0),
            Reported(trial, trial, 0, 1.0, float(trial)),
        ):
            state = scheduler.apply(state, event)
    best = scheduler.decide(state)
    others = scheduler.decide(state, lambda going: going != best)
    assert others.rung == best.rung == 1 and others.trial < best.trial
    assert isinstance(scheduler.decide(state, lambda going: False), Start)
    state = scheduler.apply(state, Assigned(count, others.trial, 1, 1.0, 3.0))
    assert scheduler.decide(state) == best
    third = scheduler.decide(state, lambda going: going != best)
    assert third.trial < others.trial
