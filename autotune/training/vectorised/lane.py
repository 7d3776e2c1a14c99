"""A trial on its way beside others: whose turn it is has torch's random numbers and the time to itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from autotune.errors import HungError
from autotune.events import Failed, Outcome
from autotune.training.randomness import GlobalGenerators
from autotune.training.step import Step, Steps
from autotune.training.vectorised.kinds import Kind
from autotune.work import Assignment, Beat


class Advancing(Protocol):
    """How an assignment is carried out, step by step."""

    def __call__(self, assignment: Assignment, beat: Beat, clock: Callable[[], float]) -> Steps[Outcome]:
        """From torch's global generators."""


class Clock:
    """The seconds of one lane; it stands while the others have theirs."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: float | None = None

    def __call__(self) -> float:
        """Seconds so far."""
        running = 0.0 if self._since is None else time.perf_counter() - self._since
        return self._seconds + running

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time within counts."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._seconds, self._since = self(), None

    def add(self, seconds: float) -> None:
        """A share in what was done together."""
        self._seconds += seconds


class Lane:
    """A trial on its way, with random numbers and a clock of its own.

    Attributes:
        assignment: What it carries out.
        clock: Of the seconds that are spent on it.
        kind: Whose steps its own are made with; None until its first step.
        fits: Whether its rehearsal went well.
    """

    def __init__(
        self, assignment: Assignment, advancing: Advancing, beat: Beat, device: torch.device
    ) -> None:
        self.assignment = assignment
        self.clock = Clock()
        self._step: Step | None = None
        self.kind: Kind | None = None
        self.fits = False
        self._steps = advancing(assignment, beat, self.clock)
        self._made: Tensor | BaseException | None = None
        self._generators = GlobalGenerators(device)
        self._numbers = self._generators.capture()[0]

    @property
    def step(self) -> Step:
        """What it wants to be made, once it was resumed."""
        if self._step is None:
            raise RuntimeError("a lane has no step before it is resumed, nor after its step was made")
        return self._step

    def resume(self) -> Outcome | None:
        """Go on to the next step that is wanted, or to the answer."""
        made, self._made = self._made, None
        try:
            with self.present():
                if made is None:
                    self._step = self._step or next(self._steps)
                elif isinstance(made, Tensor):
                    self._step = self._steps.send(made)
                else:
                    self._step = self._steps.throw(made)
        except StopIteration as end:
            answer: Outcome = end.value
            return answer
        except HungError as error:  # the alarm rang where nobody listens
            given = self.assignment
            return Failed(given.id, given.trial, given.rung, "hung", str(error))
        return None

    def rehearse(self, kind: Kind) -> None:
        """Make the first step, and see whether this trial is one of a kind."""

        def make(step: Step) -> Tensor:
            losses, self.fits = kind.rehearse(step)
            return losses

        self.kind = kind
        self.make(make)

    def make(self, make: Callable[[Step], Tensor] = Step.make) -> None:
        """Make the step that is wanted; what that raises is told to the trial, when it is resumed."""
        try:
            with self.present():
                self.made(make(self.step))
        except Exception as error:
            self._step, self._made = None, error

    def made(self, losses: Tensor) -> None:
        """The step was made, and these were its losses."""
        self._step, self._made = None, losses

    def close(self) -> None:
        """Give it up."""
        with self.present():
            self._steps.close()

    @contextmanager
    def present(self) -> Iterator[None]:
        """Torch's random numbers and the time are this trial's."""
        self._generators.restore(self._numbers, {})
        try:
            with self.clock.running():
                yield
        finally:
            self._numbers = self._generators.capture()[0]
