"""The suite that every engine must pass: subclass `EngineContract` and give it an `engine` fixture."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest

from autotune.engines.base import Engine
from autotune.engines.function import FunctionWorkload
from autotune.events import Config, Failed, Interrupted, Outcome, Reported
from autotune.work import Assignment

PATIENCE_S = 60.0


def behave(config: Config, fidelity: float, seed: int) -> float | None:
    """Does what the configuration says: raise, diverge, return nothing, or score."""
    how = config.get("behave", "score")
    if how == "raise":
        raise ValueError("as asked")
    if how == "diverge":
        return math.nan
    if how == "nothing":
        return None
    return float(config["x"]) * fidelity + seed


def assignment(number: int, trial: int | None = None, rung: int = 0, behave: str = "score") -> Assignment:
    """Advance trial `trial` (else `number`) to fidelity `rung + 1`; its seed is its number."""
    trial = number if trial is None else trial
    config = {"x": float(trial), "behave": behave}
    return Assignment(number, trial, config, trial, rung, float(rung), float(rung + 1))


def drain(engine: Engine, count: int) -> list[Outcome]:
    """The next `count` answers; interruptions, which are no answers, are left out."""
    answers: list[Outcome] = []
    end = time.monotonic() + PATIENCE_S
    while len(answers) < count and time.monotonic() < end:
        answers += [outcome for outcome in engine.poll(1.0) if not isinstance(outcome, Interrupted)]
    assert len(answers) == count, f"{len(answers)} of {count} answers after {PATIENCE_S} s: {answers}"
    return answers


def submit(engine: Engine, *assignments: Assignment) -> None:
    """Submit one after another."""
    for each in assignments:
        engine.submit(each)


class EngineContract:
    """Laws of `Engine`. The `engine` fixture gives a fresh engine that was not started."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError("give the engine to test")

    @pytest.fixture
    def started(self, engine: Engine) -> Iterator[Engine]:
        engine.start(FunctionWorkload(behave))
        yield engine
        engine.close()

    def test_every_assignment_is_answered_exactly_once(self, started: Engine) -> None:
        submit(started, *(assignment(number) for number in range(12)))
        answers = drain(started, 12)
        assert sorted(answer.assignment for answer in answers) == list(range(12))
        assert started.poll(0.2) == []

    def test_an_answer_carries_what_was_asked(self, started: Engine) -> None:
        submit(started, assignment(7, trial=3, rung=2))
        [answer] = drain(started, 1)
        assert isinstance(answer, Reported)
        assert (answer.assignment, answer.trial, answer.rung, answer.fidelity) == (7, 3, 2, 3.0)
        assert answer.score == 3.0 * 3.0 + 3
        assert answer.ledger.total.flops == 1.0

    def test_a_trial_goes_on_when_its_answer_was_seen(self, started: Engine) -> None:
        submit(started, assignment(0, trial=5))
        for rung in range(1, 6):
            [answer] = drain(started, 1)
            assert isinstance(answer, Reported)
            assert (answer.assignment, answer.trial, answer.rung) == (rung - 1, 5, rung - 1)
            submit(started, assignment(rung, trial=5, rung=rung))
        [answer] = drain(started, 1)
        assert isinstance(answer, Reported)
        assert answer.score == 5.0 * 6.0 + 5

    def test_promotion_later_needs_no_warm_worker(self, started: Engine) -> None:
        submit(started, assignment(0, trial=0), assignment(1, trial=1))
        drain(started, 2)
        submit(started, assignment(2, trial=2))
        drain(started, 1)
        submit(started, assignment(3, trial=0, rung=1))
        [answer] = drain(started, 1)
        assert isinstance(answer, Reported)
        assert (answer.assignment, answer.trial, answer.rung) == (3, 0, 1)

    @pytest.mark.parametrize(
        ("how", "kind"), [("raise", "error"), ("diverge", "diverged"), ("nothing", "metric")]
    )
    def test_a_failing_trial_is_an_answer_and_harms_no_other(
        self, started: Engine, how: str, kind: str
    ) -> None:
        submit(started, assignment(0, behave=how), assignment(1))
        answers = {answer.assignment: answer for answer in drain(started, 2)}
        failed = answers[0]
        assert isinstance(failed, Failed)
        assert (failed.kind, failed.trial, failed.rung) == (kind, 0, 0)
        assert failed.message
        assert isinstance(answers[1], Reported)

    def test_a_cancelled_assignment_holds_up_nothing(self, started: Engine) -> None:
        submit(started, *(assignment(number) for number in range(6)))
        started.cancel(4)
        started.cancel(99)
        submit(started, assignment(6))
        wanted = {0, 1, 2, 3, 5, 6}
        seen: list[int] = []
        end = time.monotonic() + PATIENCE_S
        while not wanted <= set(seen) and time.monotonic() < end:
            seen += [each.assignment for each in started.poll(1.0) if not isinstance(each, Interrupted)]
        assert wanted <= set(seen) <= wanted | {4}
        assert len(seen) == len(set(seen))

    def test_one_worker_keeps_the_order(self, started: Engine) -> None:
        if started.capacity() > 1:
            pytest.skip("has several workers")
        submit(started, *(assignment(number) for number in range(5)))
        assert [answer.assignment for answer in drain(started, 5)] == [0, 1, 2, 3, 4]

    def test_capacity_is_at_least_one(self, started: Engine) -> None:
        assert started.capacity() >= 1

    def test_poll_without_work_returns_nothing(self, started: Engine) -> None:
        assert started.poll(0.05) == []

    def test_close_twice_with_work_in_flight(self, started: Engine) -> None:
        submit(started, *(assignment(number) for number in range(4)))
        started.close()
        started.close()

    def test_close_without_start(self, engine: Engine) -> None:
        engine.close()
