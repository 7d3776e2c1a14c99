"""The contract of a scheduler: who is advanced next, from what has happened so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeAlias, TypeVar

from autotune.events import Event

State = TypeVar("State")


@dataclass(frozen=True)
class Start:
    """Ask the searcher for a new trial, and advance it to this rung or the first that can judge it."""

    rung: int = 0


@dataclass(frozen=True)
class Promote:
    """Advance a trial to a higher rung."""

    trial: int
    rung: int


@dataclass(frozen=True)
class Wait:
    """Nothing to do until something in flight reports."""


Decision: TypeAlias = Start | Promote | Wait
Fits: TypeAlias = Callable[[Promote], bool]  # whether the rest of the budget pays for it


def anything(promote: Promote) -> bool:
    """Where the budget does not matter."""
    return True


class Scheduler(ABC, Generic[State]):
    """A pure rule over the trial log; concrete schedulers are frozen dataclasses.

    Its state is an incremental fold: `state = scheduler.apply(state, event)` for each event of the log, in
    order, starting from `initial()`, equals a full replay. `apply` may reuse the state it is given, which
    must not be used afterwards. Events that do not concern it leave the state as it is.

    Attributes:
        several: Whether it heeds what a study wants besides its score, further objectives and constraints
            (`autotune.objectives`); a study with such aims refuses one that does not.
    """

    several: ClassVar[bool] = False

    @property
    @abstractmethod
    def rungs(self) -> tuple[float, ...]:
        """Fidelities at which trials are compared, ascending, in epoch-equivalents; the last is full."""

    @abstractmethod
    def initial(self) -> State:
        """The state before anything has happened."""

    @abstractmethod
    def apply(self, state: State, event: Event) -> State:
        """The state after one more event."""

    @abstractmethod
    def decide(self, state: State, fits: Fits = anything) -> Decision:
        """What to do with one free worker; asking twice without an event gives the same answer.

        Args:
            state: The fold of the log.
            fits: Only a promotion that fits may be the answer; who does not fit now waits.
        """
