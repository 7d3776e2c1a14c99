"""The contract of a scheduler, as a suite to subclass."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Mapping
from typing import Any, Final

import pytest

from autotune.events import SEARCH, Assigned, Event, Failed, Opened, Proposed, Reported
from autotune.scheduling.base import Promote, Scheduler, Start, Wait

AIMS: Final = {
    "plan": {
        "objectives": [{"metric": "cost", "mode": "min"}],
        "constraints": [{"metric": "cost", "at_most": 0.8}],
    }
}


def drive(
    scheduler: Scheduler[Any], workers: int, trials: int, seed: int, study: Mapping[str, Any] | None = None
) -> list[Event]:
    """A study without a study: random scores, one in ten of them NaN and one in ten a failure.

    Results come in random order. Returns the log; it begins with the study, where one is given, and then
    results have a random `cost` too.
    """
    chance = random.Random(seed)
    state = scheduler.initial()
    log: list[Event] = []
    in_flight: list[Assigned] = []
    reached: dict[int, int] = {}
    assignments = 0

    def commit(event: Event) -> None:
        nonlocal state
        log.append(event)
        state = scheduler.apply(state, event)

    if study is not None:
        commit(Opened(study))
    while True:
        while len(in_flight) < workers:
            decision = scheduler.decide(state)
            if isinstance(decision, Wait) or (isinstance(decision, Start) and len(reached) >= trials):
                break
            if isinstance(decision, Promote):
                trial, rung = decision.trial, decision.rung
            else:
                trial, rung = len(reached), decision.rung
                commit(Proposed(trial, {}, 0, "test", SEARCH))
            since = scheduler.rungs[reached[trial]] if trial in reached else 0.0
            reached[trial] = rung
            in_flight.append(Assigned(assignments, trial, rung, since, scheduler.rungs[rung]))
            assignments += 1
            commit(in_flight[-1])
        if not in_flight:
            return log
        done = in_flight.pop(chance.randrange(len(in_flight)))
        kind = chance.random()
        if kind < 0.1:
            commit(Failed(done.assignment, done.trial, done.rung, "error", "test"))
        else:
            score = math.nan if kind < 0.2 else round(chance.random(), 1)  # rounded: ties happen
            metrics = {} if study is None else {"cost": round(chance.random(), 1)}
            commit(Reported(done.assignment, done.trial, done.rung, done.until, score, metrics))


class SchedulerContract:
    """Subclass it, and override `scheduler`."""

    @pytest.fixture
    def scheduler(self) -> Scheduler[Any]:
        raise NotImplementedError("override the fixture `scheduler`")

    def test_rungs_ascend(self, scheduler: Scheduler[Any]) -> None:
        assert list(scheduler.rungs) == sorted(set(scheduler.rungs))
        assert scheduler.rungs[0] > 0

    @pytest.mark.parametrize("workers", [1, 7])
    def test_ends_and_only_promotes_to_higher_rungs(self, scheduler: Scheduler[Any], workers: int) -> None:
        rungs: dict[int, int] = {}
        for event in drive(scheduler, workers, trials=40, seed=workers):
            if isinstance(event, Assigned):
                assert event.trial not in rungs or event.rung == rungs[event.trial] + 1
                rungs[event.trial] = event.rung
        assert len(rungs) == 40

    def test_a_failed_or_diverged_trial_is_never_advanced(self, scheduler: Scheduler[Any]) -> None:
        lost: set[int] = set()
        for event in drive(scheduler, 4, trials=60, seed=3):
            if isinstance(event, Assigned):
                assert event.trial not in lost
            elif isinstance(event, Failed) or (isinstance(event, Reported) and math.isnan(event.score)):
                lost.add(event.trial)
        assert lost

    def test_replaying_any_prefix_decides_the_same(self, scheduler: Scheduler[Any]) -> None:
        log = drive(scheduler, 3, trials=30, seed=5)
        incremental = scheduler.initial()
        for length, event in enumerate(log):
            replayed = scheduler.initial()
            for earlier in log[:length]:
                replayed = scheduler.apply(replayed, earlier)
            assert scheduler.decide(replayed) == scheduler.decide(incremental)
            incremental = scheduler.apply(incremental, event)

    def test_with_more_aims_than_a_score_it_ends_and_replays(self, scheduler: Scheduler[Any]) -> None:
        if not scheduler.several:
            pytest.skip("it heeds the score alone, and a plan with more aims refuses it")
        log = drive(scheduler, 3, trials=30, seed=6, study=AIMS)
        assert sum(isinstance(event, Proposed) for event in log) == 30
        incremental = scheduler.initial()
        for length, event in enumerate(log):
            replayed = scheduler.initial()
            for earlier in log[:length]:
                replayed = scheduler.apply(replayed, earlier)
            assert scheduler.decide(replayed) == scheduler.decide(incremental)
            incremental = scheduler.apply(incremental, event)

    def test_deciding_changes_nothing(self, scheduler: Scheduler[Any]) -> None:
        state = scheduler.initial()
        for event in drive(scheduler, 3, trials=20, seed=8):
            state = scheduler.apply(state, event)
        before = copy.deepcopy(state)
        assert scheduler.decide(state) == scheduler.decide(state)
        assert state == before

    def test_who_does_not_fit_waits_until_it_does(self, scheduler: Scheduler[Any]) -> None:
        state = scheduler.initial()
        for event in drive(scheduler, 3, trials=30, seed=9):
            decision = scheduler.decide(state)
            if isinstance(decision, Promote):
                other = scheduler.decide(state, decision.__ne__)
                assert other != decision
                assert isinstance(scheduler.decide(state, lambda promote: False), Start | Wait)
            state = scheduler.apply(state, event)

    def test_other_phases_change_nothing(self, scheduler: Scheduler[Any]) -> None:
        state = scheduler.initial()
        before = copy.deepcopy(state)
        last = len(scheduler.rungs) - 1
        for event in (
            Proposed(0, {}, 0, "confirm", "confirm"),
            Assigned(0, 0, last, 0.0, scheduler.rungs[-1]),
            Reported(0, 0, last, scheduler.rungs[-1], 1.0),
        ):
            state = scheduler.apply(state, event)
        assert state == before
