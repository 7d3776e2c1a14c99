"""The contract of a searcher: which configuration to try next, from what has happened so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from autotune.events import Config, Event
from autotune.space import SearchSpace

State = TypeVar("State")


class Searcher(ABC, Generic[State]):
    """A pure rule over the trial log; concrete searchers are frozen dataclasses.

    Its state is an incremental fold, as a scheduler's is. A proposal is a function of the state, the
    trial's number and the study's seed, and of nothing else. Scores in the log are higher-is-better.

    Attributes:
        counts: Whether the trial's number is the place in a list, so that every trial from 0 on must be asked
            for; such a searcher cannot follow trials that another one proposes.
        several: Whether it heeds what a study wants besides its score, further objectives and constraints
            (`autotune.objectives`), or no result at all; a study with such aims refuses one that does not.
    """

    counts: ClassVar[bool] = False
    several: ClassVar[bool] = False

    @abstractmethod
    def initial(self, space: SearchSpace) -> State:
        """The state before anything has happened."""

    @abstractmethod
    def apply(self, state: State, event: Event) -> State:
        """The state after one more event."""

    @abstractmethod
    def propose(self, state: State, trial: int, seed: int) -> Config | None:
        """A configuration for trial number `trial`; None when there is nothing left to try."""
