"""The contract of a searcher, as a suite to subclass.

```python
class TestMine(SearcherContract):
    @pytest.fixture
    def searcher(self) -> Mine:
        return Mine()
```
"""

from __future__ import annotations

import copy
import math
import pickle
import random
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pytest

from autotune.events import (
    CONFIRM,
    Assigned,
    Config,
    Event,
    Failed,
    Interrupted,
    Opened,
    Proposed,
    Reported,
)
from autotune.searching.base import Searcher
from autotune.space import Choice, Float, Int, SearchSpace
from autotune.testing.schedulers import AIMS

RUNGS: Final = (0.1, 0.3, 1.0)
SPACE: Final = SearchSpace(
    {
        "optimizer": Choice(
            {
                "sgd": {"lr": Float(1e-3, 1.0, log=True), "momentum": Float(0.8, 0.99)},
                "adamw": {"lr": Float(1e-5, 1e-2, log=True)},
            }
        ),
        "width": Int(8, 64, log=True),
        "batch_size": Choice([32, 64, 128]),
        "depth": 3,
    }
)


def score(config: Config) -> float:
    """A smooth score of `SPACE`, best at `optimizer.lr` 0.01 with `sgd`."""
    rate = math.log10(float(config.get("optimizer.lr", 1.0)))
    return -((rate + 2) ** 2) + (config.get("optimizer") == "sgd")


def drive(
    searcher: Searcher[Any],
    space: SearchSpace,
    workers: int,
    trials: int,
    seed: int,
    study: Mapping[str, Any] | None = None,
) -> tuple[list[Event], list[int]]:
    """A study without a study: one result in ten is NaN, one in ten a failure, one in ten an interruption.

    Where a study is given, the log begins with it, and results have a `cost` too.

    Returns:
        The log, and the number of events before each proposal.
    """
    chance = random.Random(seed)
    state = searcher.initial(space)
    log: list[Event] = []
    asked: list[int] = []
    configs: list[Config] = []
    waiting: dict[int, int] = {}
    in_flight: list[Assigned] = []
    assignments = 0

    def commit(event: Event) -> None:
        nonlocal state
        log.append(event)
        state = searcher.apply(state, event)

    if study is not None:
        commit(Opened(study))
    while True:
        while len(in_flight) < workers and (len(configs) < trials or waiting):
            if waiting and (chance.random() < 0.3 or len(configs) == trials):
                trial = chance.choice(sorted(waiting))
                rung = waiting.pop(trial) + 1
            else:
                trial, rung = len(configs), 0
                config = searcher.propose(state, trial, seed)
                if config is None:
                    trials = len(configs)
                    continue
                asked.append(len(log))
                configs.append(config)
                commit(Proposed(trial, config, 0, "test"))
            in_flight.append(Assigned(assignments, trial, rung, 0.0, RUNGS[rung]))
            assignments += 1
            commit(in_flight[-1])
        if not in_flight:
            return log, asked
        done = in_flight.pop(chance.randrange(len(in_flight)))
        kind = chance.random()
        if kind < 0.1:
            commit(Failed(done.assignment, done.trial, done.rung, "error", "test"))
        elif kind < 0.2:
            commit(Interrupted(done.assignment, done.trial, "preempted"))
            in_flight.append(done)
        else:
            value = math.nan if kind < 0.3 else score(configs[done.trial]) + chance.gauss(0, 0.1)
            metrics = {} if study is None else {"cost": chance.random()}
            commit(Reported(done.assignment, done.trial, done.rung, done.until, value, metrics))
            if math.isfinite(value) and done.rung + 1 < len(RUNGS):
                waiting[done.trial] = done.rung


class SearcherContract:
    """Subclass it, and override `searcher`."""

    @pytest.fixture
    def searcher(self) -> Searcher[Any]:
        raise NotImplementedError("override the fixture `searcher`")

    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACE

    @pytest.mark.parametrize("workers", [1, 8])
    def test_proposes_what_the_space_holds(
        self, searcher: Searcher[Any], space: SearchSpace, workers: int
    ) -> None:
        log, asked = drive(searcher, space, workers, trials=40, seed=workers)
        assert asked
        for event in log:
            if isinstance(event, Proposed):
                assert space.validate(event.config) == event.config

    @pytest.mark.parametrize("workers", [1, 8])
    def test_replaying_any_prefix_proposes_the_same(
        self, searcher: Searcher[Any], space: SearchSpace, workers: int
    ) -> None:
        self._replays(searcher, space, *drive(searcher, space, workers, trials=30, seed=workers), workers)

    def test_with_more_aims_than_a_score_it_proposes_and_replays(
        self, searcher: Searcher[Any], space: SearchSpace
    ) -> None:
        if not searcher.several:
            pytest.skip("it heeds the score alone, and a plan with more aims refuses it")
        log, asked = drive(searcher, space, 3, trials=30, seed=4, study=AIMS)
        self._replays(searcher, space, log, asked, 4)

    def _replays(
        self, searcher: Searcher[Any], space: SearchSpace, log: list[Event], asked: list[int], seed: int
    ) -> None:
        for length in asked[:: max(1, len(asked) // 8)]:
            state = searcher.initial(space)
            for event in log[:length]:
                state = searcher.apply(state, event)
            again = copy.deepcopy(log[length])
            assert isinstance(again, Proposed)
            assert space.validate(again.config) == again.config
            assert searcher.propose(state, again.trial, seed) == again.config

    def test_proposals_differ_by_trial_and_leave_the_state_alone(
        self, searcher: Searcher[Any], space: SearchSpace
    ) -> None:
        state = self._after(searcher, space)
        proposals = [searcher.propose(state, trial, 0) for trial in range(100, 105)]
        if None not in proposals:
            distinct = {tuple(sorted(proposal.items())) for proposal in proposals if proposal}
            assert len(distinct) == len(proposals)
        assert proposals == [searcher.propose(state, trial, 0) for trial in range(100, 105)]

    def test_global_randomness_is_neither_read_nor_moved(
        self, searcher: Searcher[Any], space: SearchSpace
    ) -> None:
        state = self._after(searcher, space)
        found = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002  # the legacy global generator is what is tested
            before = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002
            found.append(searcher.propose(state, 50, 0))
            assert before == (random.getstate(), pickle.dumps(np.random.get_state()))  # noqa: NPY002
        assert found[0] == found[1]

    def test_what_is_confirmed_is_not_learnt_from(self, searcher: Searcher[Any], space: SearchSpace) -> None:
        plain, confirmed = self._after(searcher, space), self._after(searcher, space)
        for trial in range(1000, 1020):
            for event in (
                Proposed(trial, space.reference(), 0, "confirm", CONFIRM, 0),
                Assigned(trial, trial, len(RUNGS) - 1, 0.0, RUNGS[-1]),
                Reported(trial, trial, len(RUNGS) - 1, RUNGS[-1], 100.0),
            ):
                confirmed = searcher.apply(confirmed, event)
        assert searcher.propose(confirmed, 50, 0) == searcher.propose(plain, 50, 0)

    def test_proposals_are_plain_values(self, searcher: Searcher[Any], space: SearchSpace) -> None:
        config = searcher.propose(self._after(searcher, space), 40, 0) or {}
        assert all(type(value) in (bool, int, float, str) for value in config.values())

    def test_travels(self, searcher: Searcher[Any]) -> None:
        assert pickle.loads(pickle.dumps(searcher)) == searcher  # noqa: S301  # our own bytes

    def _after(self, searcher: Searcher[Any], space: SearchSpace) -> Any:
        log, _ = drive(searcher, space, 3, trials=30, seed=11)
        state = searcher.initial(space)
        for event in log:
            state = searcher.apply(state, event)
        return state
