"""Who sits where: which worker process has which assignments, and what becomes of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, final

from autotune.cluster.trials.deaths import GONE, SHORT, Deaths
from autotune.cluster.trials.exchange import Exchange
from autotune.cluster.trials.losses import Losses
from autotune.cluster.trials.seat import Seat
from autotune.cluster.trials.sharing import Shares
from autotune.errors import StudyError
from autotune.events import Failed, Interrupted, Outcome
from autotune.ledger import Charge, Label, Ledger
from autotune.work import LEAVING, Assignment, Remains, Workload

_STILLBORN: Final = 5  # processes of one seat that did not start, in a row, after which none will

logger = logging.getLogger(__name__)


@final
class Desk:
    """The seats of a study, by the names of their Tune trials; only Tune's thread uses it.

    Args:
        exchange: To and from the study.
        workload: Knows what an assignment had spent whose process died.
        crashes: Deaths of processes that one assignment survives.
        lanes: Assignments that one process takes at once.
        devices: That advance an assignment together; the seconds of each are charged.
        shares: Of a GPU, by trial; None where nobody has a part.

    Attributes:
        most: Assignments that one process was to take at once.
        lanes: How many it takes now: fewer where so many were too much for the memory.
        places: Processes that fit on the machines that there are.
        limit: Seats at once, those included that wait for a machine.
        seats: All of them.
        orphans: Whether Tune keeps a trial alive that has no seat any more.
    """

    def __init__(
        self,
        exchange: Exchange,
        workload: Workload,
        crashes: int,
        lanes: int = 1,
        devices: int = 1,
        shares: Shares | None = None,
    ) -> None:
        self.exchange = exchange
        self.lanes = self.most = lanes
        self.places = self.limit = 1
        self.seats: dict[str, Seat] = {}
        self.orphans = False
        self._workload = workload
        self._devices = devices
        self._shares = Shares(0.0) if shares is None else shares
        self._losses = Losses()
        self._deaths = Deaths(crashes)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its tuner for a restore that is never used."""
        return {}

    def widen(self, lanes: int) -> None:
        """Let a process take so many, before there is one."""
        self.lanes = self.most = lanes

    # Seats, and who is in them

    def wants_seat(self) -> bool:
        """Whether another one would be of use, now or as soon as there is a machine for it."""
        if self.lacks_room():
            return False  # smaller ones would find a place sooner, every time
        return len(self._waiting()) < self.exchange.queued and self._open() < self.limit

    def lacks_room(self) -> bool:
        """Whether a seat waits for a larger part of a GPU than others have."""
        return any(self.seats[name].part is not None for name in self._waiting())

    def next_part(self) -> float | None:
        """Part of a GPU for the oldest queued assignment, where its trial has outgrown the usual one."""
        trial = self.exchange.oldest_trial
        return None if trial is None else self._shares.of(trial)

    def superfluous(self) -> list[str]:
        """Those that wait for a process though nothing is left to do there."""
        waiting = self._waiting()
        excess = max(len(waiting) - self.exchange.queued, self._open() - self.limit)
        return waiting[-excess:] if excess > 0 else []

    def begin(self, name: str, actor: Any) -> list[Assignment]:
        """A process has begun for a seat; returns what it is to do."""
        self.seats[name].begin(actor)
        return self.board(name)

    def board(self, name: str, before: Collection[int] = ()) -> list[Assignment]:
        """Fill a seat from the queue; returns who came in.

        Args:
            name: Of the seat.
            before: Trials that it has just advanced: their next assignments come before older ones of others.
        """
        seat, suspects, entered = self.seats[name], self._suspects(), []
        if seat and not self._waiting() and self.exchange.oldest in suspects:
            return []  # which waits for an empty seat, and else would do so for ever
        if self.next_part() not in (None, seat.part):
            return []  # it waits for room, which this seat makes when it is left empty

        def fits(assignment: Assignment) -> bool:
            alone = assignment.id in suspects
            return self._shares.of(assignment.trial) == seat.part and not (seat and alone)

        while not seat.leaving and len(seat) < self._room(seat, suspects):
            if (taken := self.exchange.take(fits, before)) is None:
                break
            seat.enter(taken)
            entered.append(taken)
        return entered

    def drop(self, name: str) -> None:
        """A Tune trial has ended; whatever its seat still had waits again."""
        if (seat := self.seats.pop(name, None)) is not None:
            self._put_back(seat)

    def cancel(self, name: str, assignment: int) -> None:
        """The study has no use for one any more."""
        self.seats[name].leave(assignment)
        self._deaths.forget(assignment)

    # What becomes of them

    def receive(self, name: str, answers: Iterable[Outcome]) -> int:
        """Take in what a process has answered.

        Returns:
            The number of the last answer that was handed to the study, for `Exchange.wait_for_reaction`; 0
            when there was none.
        """
        seat, number = self.seats[name], 0
        beside = len(seat)
        for answer in answers:
            seat.hung |= isinstance(answer, Failed) and answer.kind == "hung"
            if (assignment := seat.inside.get(answer.assignment)) is None:
                continue  # it was cancelled
            if isinstance(answer, Interrupted):
                seat.leaving = True
                had = self._lose(seat, answer, answer.node)
                number = self._bereft(seat, assignment, answer.reason, had) or number
                self._put_back(seat, assignment.id)
            elif isinstance(answer, Failed) and answer.kind == "memory" and beside > 1:
                self._crowded(beside)
                reason = f"{answer.message}, beside {beside - 1} others"
                told = Interrupted(assignment.id, assignment.trial, reason)
                had = self._lose(seat, told, answer.node)
                self._deaths.add(seat.actor, _saved({assignment.id: had}), sure=True)
                self._put_back(seat, assignment.id)
            elif isinstance(answer, Failed) and answer.kind == "memory" and self._outgrown(seat, answer):
                self._put_back(seat, assignment.id)
            else:
                number = self._answer(seat, answer)
        return number

    def die(self, name: str, reason: str) -> None:
        """A process is gone: all that it had waits again, before all others, and its seat for another one."""
        seat = self.seats[name]
        had = {one.id: self._lose(seat, Interrupted(one.id, one.trial, reason)) for one in seat}
        memory = SHORT in reason
        if _blameless(reason):  # however often
            pass
        elif seat.hung:
            for one in seat:
                self._workload.pardon(one)
        elif not seat.running:
            seat.stillborn += 1
            if seat.stillborn >= _STILLBORN:
                self.exchange.fail(StudyError(f"{_STILLBORN} Ray actors in a row did not start: {reason}"))
        else:
            self._deaths.add(seat.actor, _saved(had), sure=memory)
            if len(seat) > 1 and memory:
                self._crowded(len(seat))
            elif len(seat) == 1:
                (one,) = seat
                self._give_up(seat, one, reason, had[one.id])
        seat.end()
        self._put_back(seat)

    def _outgrown(self, seat: Seat, full: Failed) -> bool:
        """Whether a trial gets a larger part of a GPU, for which this seat makes room: it takes nobody in."""
        if (larger := self._shares.grow(full.trial)) is None:
            return False
        logger.warning("trial %d: %s", full.trial, larger)
        self._lose(seat, Interrupted(full.assignment, full.trial, larger), full.node)
        return True

    def _bereft(self, seat: Seat, assignment: Assignment, reason: str, had: Remains) -> int:
        """Where another process of the trial is gone, that is a death like any other; see `_give_up`."""
        if _blameless(reason):
            return 0
        self._deaths.add(seat.actor, _saved({assignment.id: had}))
        return self._give_up(seat, assignment, reason, had)

    def _give_up(self, seat: Seat, one: Assignment, reason: str, had: Remains) -> int:
        """Answer for an assignment whose processes have died too often; the answer's number, or 0."""
        if not (times := self._deaths.too_many(one.id)):
            return 0
        kind = "memory" if SHORT in reason else "crashed"
        return self._answer(
            seat, _given_up(one, kind, f"its worker process died {times} times: {reason}", had)
        )

    def _answer(self, seat: Seat, answer: Outcome) -> int:
        """Hand an answer to the study; returns its number."""
        kind = answer.kind if isinstance(answer, Failed) else ""
        if kind == "hung":
            answer = _whole(answer, self._workload.remains(seat.inside[answer.assignment]), self._devices)
        if kind == "memory" and answer.assignment in self._deaths:  # others were not what was too much
            self.lanes = min(self.most, 2 * self.lanes)
        self._deaths.forget(answer.assignment)
        seconds = self._devices * seat.leave(answer.assignment)
        return self.exchange.answer(self._losses.settle(answer, seconds))

    def _lose(self, seat: Seat, told: Interrupted, node: str = "local") -> Remains:
        """Tell the study of a start that is lost, and with how much; returns all that was spent."""
        remains = self._workload.remains(seat.inside[told.assignment])
        seconds = self._devices * seat.time.leave(told.assignment)
        self._losses.lose(told.assignment, seconds, remains.lost.total.seconds)
        node = remains.node if node == "local" else node
        self.exchange.answer(replace(told, ledger=remains.lost, node=node))
        return remains

    def _put_back(self, seat: Seat, *those: int) -> None:
        """They wait again, before all others, in their order; all that are in where none is named."""
        for assignment in reversed([one for one in seat if not those or one.id in those]):
            seat.leave(assignment.id)
            self.exchange.put_back(assignment)

    # Counting

    def _waiting(self) -> list[str]:
        """Seats without a process."""
        return [name for name, seat in self.seats.items() if not seat.running]

    def _open(self) -> int:
        """How many seats take assignments in."""
        return sum(not seat.leaving for seat in self.seats.values())

    def _room(self, seat: Seat, suspects: set[int]) -> int:
        """How many a seat has room for: no more than its part where there are machines for all."""
        if suspects & seat.inside.keys():
            return 1
        due = self.exchange.queued + sum(map(len, self.seats.values()))
        return min(self.lanes, math.ceil(due / self.places))

    def _suspects(self) -> set[int]:
        """Assignments that go on alone; where all do, nobody needs to know."""
        return set() if self.most == 1 else self._deaths.suspects()

    def _crowded(self, beside: int) -> None:
        """So many were too many for the memory, as far as one can see."""
        self.lanes = min(self.lanes, max(1, beside // 2))


def _given_up(one: Assignment, kind: str, message: str, had: Remains) -> Failed:
    """The answer for an assignment whose processes die."""
    return Failed(one.id, one.trial, one.rung, kind, message, had.saved, had.node)


def _saved(had: Mapping[int, Remains]) -> dict[int, float]:
    """How far assignments are, in FLOPs that need not be spent again."""
    return {assignment: remains.saved.total.flops for assignment, remains in had.items()}


def _blameless(reason: str) -> bool:
    """Whether a machine is why: then it is nobody's fault."""
    return GONE in reason or LEAVING in reason


def _whole(hung: Outcome, remains: Remains, devices: int) -> Outcome:
    """The answer for a trial that hangs, which knows its seconds only, with what was noted of it."""
    spent = remains.saved + remains.lost
    waited = max(0.0, devices * hung.ledger.total.seconds - spent.total.seconds)
    return replace(hung, ledger=spent + Ledger({Label.OVERHEAD: Charge(0.0, waited)}))
