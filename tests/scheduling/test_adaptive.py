"""ASHA that learns which rungs to trust: its contract, and what it learns from exempt trials."""

import math
import random

import pytest

from autotune.errors import ConfigurationError
from autotune.events import Assigned, Opened, Proposed, Reported
from autotune.scheduling.adaptive import AdaptiveASHA, kept_share, rank_correlation
from autotune.scheduling.asha import ASHA
from autotune.scheduling.base import Promote, Start
from autotune.testing.schedulers import AIMS, SchedulerContract, drive


class TestAdaptive(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return AdaptiveASHA(horizon=27.0, lowest=1.0, probation=8)


class TestLending(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return AdaptiveASHA(horizon=27.0, lowest=1.0, lent=0.5)


class TestDistrustful(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return AdaptiveASHA(horizon=27.0, lowest=1.0, share=0.5, trusted=1.0)


def searched(scheduler, score, trials, begun=()):
    """Trials at each rung, and the final state, with one worker and `score(trial, rung)`."""
    state, counts, number, reached = scheduler.initial(), [0] * len(scheduler.rungs), 0, {}
    for event in begun:
        state = scheduler.apply(state, event)
    while True:
        decision = scheduler.decide(state)
        if isinstance(decision, Start):
            if number == trials:
                return counts, state
            state = scheduler.apply(state, Proposed(number, {}, 0, "t"))
            decision, number = Promote(number, 0), number + 1
        trial, rung = decision.trial, decision.rung
        counts[rung] += 1
        reached[trial] = rung
        state = scheduler.apply(state, Assigned(sum(counts), trial, rung, 0.0, scheduler.rungs[rung]))
        state = scheduler.apply(
            state, Reported(sum(counts), trial, rung, scheduler.rungs[rung], score(trial, rung))
        )


def quality(trial):
    return random.Random(trial).random()


def misled(trial, rung):
    """The first rung says the opposite of all others."""
    return -quality(trial) if rung == 0 else quality(trial)


SCHEDULER = AdaptiveASHA(horizon=81.0, lowest=1.0)


def test_with_more_aims_than_a_score_it_is_asha():
    plain = ASHA(horizon=27.0, lowest=1.0)
    assert drive(AdaptiveASHA(27.0, 1.0), 3, 40, 2, AIMS) == drive(plain, 3, 40, 2, AIMS)
    assert drive(AdaptiveASHA(27.0, 1.0), 3, 40, 2) != drive(plain, 3, 40, 2)


def test_a_rung_whose_ranks_do_not_last_stops_eliminating():
    counts, state = searched(SCHEDULER, misled, 60)
    assert state.first == 1
    assert state.levels[0].agreement == pytest.approx(-1.0)
    assert counts[1] == counts[0] == 60
    assert counts[2] < 40
    best = max(range(60), key=quality)
    assert any(place[1] == best for place in state.levels[-2].results.ranking)


def test_asha_would_have_lost_the_best_there():
    best = max(range(60), key=quality)
    _, state = searched(ASHA(horizon=81.0, lowest=1.0), misled, 60)
    assert all(place[1] != best for rung in state.rungs[1:] for place in rung.ranking)


def test_a_rung_whose_ranks_last_keeps_fewer_than_asha_and_the_best_among_them():
    counts, state = searched(SCHEDULER, lambda trial, rung: quality(trial), 300)
    of_asha, _ = searched(ASHA(horizon=81.0, lowest=1.0), lambda trial, rung: quality(trial), 300)
    assert state.first == 0
    assert counts[1] < 0.6 * of_asha[1]
    assert sum(counts[1:]) < 0.6 * sum(of_asha[1:])
    assert state.levels[-1].results.ranking[0][1] == max(range(300), key=quality)


def test_trust_comes_back_when_ranks_last_again():
    def healed(trial, rung):
        return misled(trial, rung) if trial < 40 else quality(trial)

    assert searched(SCHEDULER, healed, 40)[1].first == 1
    assert searched(SCHEDULER, healed, 200)[1].first == 0  # by the most recent hundred


def test_without_exempt_trials_it_is_asha():
    plain = AdaptiveASHA(horizon=27.0, lowest=1.0, probation=0, share=0.0)
    for seed in range(5):
        assert drive(plain, 4, 60, seed) == drive(ASHA(horizon=27.0, lowest=1.0), 4, 60, seed)


@pytest.mark.parametrize(("epochs", "exempt"), [(None, 10), (1000.0, 10), (180.0, 9), (80.0, 0)])
def test_looking_takes_a_tenth_of_the_budget_at_most(epochs, exempt):
    """From the first rung to the second it is two epoch-equivalents."""
    state = SCHEDULER.apply(SCHEDULER.initial(), Opened({"plan": {"budget": {"epochs": epochs}}}))
    for trial in range(30):
        for event in (
            Proposed(trial, {}, 0, "test"),
            Assigned(trial, trial, 0, 0.0, 1.0),
            Reported(trial, trial, 0, 1.0, quality(trial)),
        ):
            state = SCHEDULER.apply(state, event)
    assert state.levels[0].exempted == exempt


def test_a_rung_that_no_longer_eliminates_takes_nothing_from_the_next():
    begun = [Opened({"plan": {"budget": {"epochs": 1000.0}}})]
    _, state = searched(SCHEDULER, misled, 60, begun)
    assert state.first == 1
    assert state.levels[1].exempted == 10


def test_whoever_was_only_watched_raises_nobody_elses_quota():
    _, state = searched(SCHEDULER, lambda trial, rung: -float(trial), 10)  # each worse than all before
    assert state.levels[0].exempted == 10
    assert state.levels[1].results.count < 10


def test_policies_that_begin_higher_are_no_witnesses_of_the_first_rung():
    state = SCHEDULER.initial()
    for trial in range(12):
        state = SCHEDULER.apply(state, Proposed(trial, {}, 0, "t"))
        state = SCHEDULER.apply(state, Assigned(trial, trial, 1, 0.0, 3.0))
        state = SCHEDULER.apply(state, Reported(trial, trial, 1, 3.0, float(trial)))
    assert not state.levels[0].pairs
    assert state.levels[1].exempted == 0


def test_rank_correlation():
    rising = [(float(x), x**3.0) for x in range(8)]
    assert rank_correlation(rising) == pytest.approx(1.0)
    assert rank_correlation([(x, -y) for x, y in rising]) == pytest.approx(-1.0)
    assert rank_correlation(rising[:7]) is None
    assert rank_correlation([(1.0, y) for _, y in rising]) is None
    assert rank_correlation([(-math.inf, -math.inf), *rising]) == pytest.approx(1.0)


def test_the_kept_share_falls_with_agreement_and_with_numbers():
    assert kept_share(0.0, 50) == pytest.approx(0.8)  # nothing is known: four in five hold the best with .8
    assert kept_share(1.0, 99) == pytest.approx(0.01)
    assert kept_share(0.5, 50) > kept_share(0.7, 50) > kept_share(0.9, 50)
    assert kept_share(0.7, 20) > kept_share(0.7, 200)


def test_the_kept_share_holds_the_best_as_often_as_it_says():
    chance, held = random.Random(0), 0
    for _ in range(2000):
        last = [chance.gauss(0, 1) for _ in range(50)]
        first = [0.7 * one + math.sqrt(1 - 0.49) * chance.gauss(0, 1) for one in last]
        best = first[last.index(max(last))]
        held += sum(one > best for one in first) < kept_share(0.7, 50) * 50
    assert held / 2000 == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    "arguments",
    [
        {"horizon": 0.0},
        {"lowest": 2.0},
        {"reduction": 1},
        {"probation": -1},
        {"share": 1.5},
        {"trusted": 2.0},
    ],
)
def test_settings_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigurationError, match="must be"):
        AdaptiveASHA(**{"horizon": 1.0} | arguments)


late = {"a": (0.9, 0.8, 0.3), "b": (0.7, 0.6, 0.5), "c": (0.5, 0.4, 0.9)}  # by arm, at each rung


def with_arms(scheduler, trials):
    """The rungs that each trial reached, and the log, where every third trial is of the same arm."""
    state, reached, log = scheduler.initial(), {}, []
    for number in range(10 * trials):
        decision = scheduler.decide(state)
        if isinstance(decision, Start):
            if len(reached) == trials:
                break
            trial, rung, since = len(reached), 0, 0.0
            log.append(Proposed(trial, {"policy": "abc"[trial % 3]}, 0, "t"))
        else:
            trial, rung = decision.trial, decision.rung
            since = scheduler.rungs[rung - 1]
        reached[trial] = rung
        value = late["abc"[trial % 3]][rung] - 0.001 * trial
        log += [
            Assigned(number, trial, rung, since, scheduler.rungs[rung]),
            Reported(number, trial, rung, scheduler.rungs[rung], value),
        ]
        for event in log[-3 if rung == 0 else -2 :]:
            state = scheduler.apply(state, event)
    return reached, log


def arms_at_the_top(reached):
    return {"abc"[trial % 3] for trial, rung in reached.items() if rung == 2}


def test_every_arm_meets_every_rung_as_far_as_the_share_goes():
    """The arm that is last at all rungs but the top is best there, and nobody would know."""
    plain = AdaptiveASHA(9.0, 1.0, probation=0, share=0.0)
    assert arms_at_the_top(with_arms(plain, 30)[0]) == {"a"}
    reached, log = with_arms(AdaptiveASHA(9.0, 1.0, probation=0, share=0.0, lent=0.25), 30)
    assert arms_at_the_top(reached) == {"a", "b", "c"}
    assert [trial for trial, rung in reached.items() if rung == 2 and trial % 3 == 2] == [2]  # its best
    lent = assigned = 0.0
    state = plain.initial()
    for event in log:
        if isinstance(event, Assigned):
            assigned += event.until - event.since
            if event.rung > 0 and plain.decide(state) != Promote(event.trial, event.rung):
                lent += event.until - event.since
        state = plain.apply(state, event)
    assert lent <= 0.25 * assigned


def test_one_arm_needs_nobody_to_represent_it():
    assert drive(AdaptiveASHA(27.0, 1.0, lent=0.5), 3, 40, 2) == drive(AdaptiveASHA(27.0, 1.0), 3, 40, 2)


def test_who_enters_late_and_nearly_leads_is_not_dropped_for_good():
    """A policy that is judged late has one trial, and had to be the best of its rung on arrival."""
    scheduler = AdaptiveASHA(9.0, 1.0, probation=0, share=0.0)
    state, number, promoted = scheduler.initial(), 0, []

    def result(trial, rung, score):
        nonlocal state, number
        since = scheduler.rungs[rung - 1] if rung and trial != late else 0.0
        state = scheduler.apply(state, Assigned(number, trial, rung, since, scheduler.rungs[rung]))
        state = scheduler.apply(state, Reported(number, trial, rung, scheduler.rungs[rung], score))
        number += 1

    def climb():
        while isinstance(going := scheduler.decide(state), Promote):
            promoted.append((going.trial, going.rung))
            result(going.trial, going.rung, 0.9 if going.trial == 0 else 0.8)

    late = 3
    for trial in range(30):
        state = scheduler.apply(state, Proposed(trial, {}, 0, "t"))
        if trial == late:
            result(late, 1, 0.89)  # the leader has .9
        else:
            result(trial, 0, 1.0 if trial == 0 else 0.5 + trial / 100)
        climb()
    top = [trial for trial, rung in promoted if rung == 2]
    assert top[:2] == [0, late]
    assert len(top) == state.levels[1].results.count // 3  # whom it came before, not beside


def test_a_rung_that_stopped_eliminating_lets_everybody_go_who_began_there_too():
    """Half of the trials begin at the second rung; no rung but the last two ranks anybody."""
    scheduler, state, reached = AdaptiveASHA(27.0, 1.0), None, {}
    state, number, assignments = scheduler.initial(), 0, 0
    while True:
        decision = scheduler.decide(state)
        if isinstance(decision, Start):
            if number == 120:
                break
            state = scheduler.apply(state, Proposed(number, {}, 0, "t"))
            decision, number = Promote(number, number % 2), number + 1
        trial, rung, assignments = decision.trial, decision.rung, assignments + 1
        reached[trial] = rung
        state = scheduler.apply(state, Assigned(assignments, trial, rung, 0.0, scheduler.rungs[rung]))
        score = random.Random(f"{trial} {rung}").random()
        state = scheduler.apply(state, Reported(assignments, trial, rung, scheduler.rungs[rung], score))
    assert state.first == 2
    assert [trial for trial, rung in reached.items() if rung < state.first] == []
