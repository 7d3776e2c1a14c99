"""Several trials in one process: each takes its step in turn, and those that fit take it together."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from contextlib import nullcontext
from typing import Final, final

import torch

from autotune.events import Outcome
from autotune.training.randomness import scope
from autotune.training.vectorised.kinds import Kind, brief, kind_of
from autotune.training.vectorised.lane import Advancing, Lane
from autotune.training.vectorised.stack import Stack
from autotune.work import Assignment, Beat, Lanes

KINDS: Final = 64  # that are remembered though no lane is of them

logger = logging.getLogger(__name__)


@final
class Lockstep(Lanes):
    """Lanes that all move, a step each by turns, so that no time measured decides about the order of answers.

    A loop that does not give its steps away, which is that of a user, runs to its end where its turn is.

    Args:
        advancing: How an assignment is carried out.
        device: Where.
    """

    def __init__(self, advancing: Advancing, device: torch.device) -> None:
        self._advancing = advancing
        self._device = device
        self._lanes: list[Lane] = []
        self._kinds: dict[Hashable, Kind] = {}
        self._stacks: dict[Kind, tuple[list[Lane], Stack]] = {}
        self._beat: Beat | None = None

    def enter(self, assignment: Assignment) -> None:
        """Give it a lane."""
        self._lanes.append(Lane(assignment, self._advancing, self._progress, self._device))

    def advance(self, beat: Beat) -> list[Outcome]:
        """Go on to the next step of each; where none has come to its end, make these steps.

        Raises:
            StorageError, CheckpointError: See `TrainingWorker.advance`.
        """
        self._beat = beat
        answers: dict[int, Outcome] = {}
        with scope(self._device):
            for lane in self._lanes:
                self.turn = lane.assignment.id
                if (answer := lane.resume()) is not None:
                    answers[self.turn] = answer
            if answers:
                self._lanes = [lane for lane in self._lanes if lane.assignment.id not in answers]
            else:
                self._make()
        self.turn = None
        return list(answers.values())

    def leave(self, assignment: int) -> None:
        """Close its lane."""
        with scope(self._device):
            for lane in self._lanes:
                if lane.assignment.id == assignment:
                    lane.close()
        self._lanes = [lane for lane in self._lanes if lane.assignment.id != assignment]

    def close(self) -> None:
        """Close all lanes."""
        with scope(self._device):
            for lane in self._lanes:
                lane.close()
        self._lanes.clear()
        self._stacks.clear()

    def _progress(self) -> bool | None:
        return None if self._beat is None else self._beat()

    def _make(self) -> None:
        """The step of every lane."""
        ready: dict[Kind, list[Lane]] = {}
        for lane in self._lanes:
            self.turn = lane.assignment.id
            if lane.kind is None:
                lane.rehearse(self._kind(lane))
            elif lane.fits:
                ready.setdefault(lane.kind, []).append(lane)
            else:
                lane.make()
        self._stacks = {kind: found for kind, found in self._stacks.items() if kind in ready}
        for kind, lanes in ready.items():
            race = kind.race(len(lanes))
            with nullcontext() if race is None else race.round(len(lanes)):
                if race is None or not race.together or not self._together(kind, lanes):
                    for lane in lanes:
                        self.turn = lane.assignment.id
                        lane.make()
            if race is not None and race.over:
                logger.info("each of %d steps takes %s", len(lanes), race.result())

    def _kind(self, lane: Lane) -> Kind:
        """The kind that a lane's first step is of; beside those of the lanes not many are remembered."""
        if len(self._kinds) > KINDS:  # each has a copy of a model
            used = {other.kind for other in self._lanes}
            self._kinds = {key: kind for key, kind in self._kinds.items() if kind in used}
        return self._kinds.setdefault(kind_of(lane.step, lane.assignment.config), Kind(self._device))

    def _together(self, kind: Kind, lanes: list[Lane]) -> bool:
        """Make the steps of lanes of a kind at once, if that can be done."""
        began, steps = time.perf_counter(), [lane.step for lane in lanes]
        self.turn = None
        try:
            members, stack = self._stacks.get(kind, ([], None))
            if stack is None or members != lanes:
                stack = kind.stack(steps)
                self._stacks[kind] = lanes, stack
            losses, gradients = stack.gradients(steps)
        except Exception as error:  # out of memory, say: alone it may go on
            kind.give_up(brief(error))
            return False
        stack.update(steps, gradients)
        share = (time.perf_counter() - began) / len(lanes)
        for lane, own in zip(lanes, losses, strict=True):
            lane.made(own)
            lane.clock.add(share)
        return True
