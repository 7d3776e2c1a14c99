"""What an engine is given to do: assignments, and the workload whose workers carry them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, final

from autotune.errors import HungError
from autotune.events import Config, Failed, Outcome
from autotune.ledger import Ledger
from autotune.storage.location import Location

# Called whenever a trial makes progress. True says that the machine is about to go: a worker that can saves
# the trial at once and answers `Interrupted`. One that ignores it is asked again, until its machine is gone.
Beat: TypeAlias = Callable[[], bool | None]
LEAVING: Final = "its machine is about to go"  # why who was asked to leave was interrupted


@dataclass(frozen=True)
class Assignment:
    """Advance one trial to a fidelity.

    Attributes:
        id: Unique within the study; the answer carries it.
        trial: The trial's number.
        config: Its settings and policy.
        seed: Its seed.
        rung: Index of the rung to reach.
        since: Its fidelity now, in its own epoch-equivalents; 0 starts it.
        until: Its fidelity at the rung.
        test: Whether to score the test split instead of training (the verdict's single read).
    """

    id: int
    trial: int
    config: Config
    seed: int
    rung: int
    since: float
    until: float
    test: bool = False


@dataclass(frozen=True)
class Remains:
    """What an assignment had spent when its process died, and no answer tells.

    Attributes:
        saved: Lives on in a checkpoint, and is part of what the next start will answer.
        lost: Has to be spent again.
        node: Type of the machine.
    """

    saved: Ledger = field(default_factory=Ledger)
    lost: Ledger = field(default_factory=Ledger)
    node: str = "local"


class Lanes(ABC):
    """Assignments that one worker advances side by side, each to an end of its own.

    Attributes:
        turn: The one that is being advanced, by its id; None between turns, and while it is several at once.
            It stays where something was raised, and where something hangs.
    """

    turn: int | None = None

    @abstractmethod
    def enter(self, assignment: Assignment) -> None:
        """Take one in; nothing of it is done yet."""

    @abstractmethod
    def advance(self, beat: Beat) -> list[Outcome]:
        """Take those that are in a turn further, to where others may enter and leave.

        Raises nothing for a trial's own fault.

        Returns:
            The answers of those that came to their end, which are out; often none.
        """

    @abstractmethod
    def leave(self, assignment: int) -> None:
        """Give one up, by its id, if it is in."""

    @abstractmethod
    def close(self) -> None:
        """Give all of them up."""


class Worker(ABC):
    """What runs assignments one after another in one process; it may keep its last trial in memory.

    Attributes:
        node: Type of the machine, for its price; an engine that knows it says so.
    """

    node: str = "local"

    @abstractmethod
    def advance(self, assignment: Assignment, beat: Beat) -> Outcome:
        """Train to `assignment.until`, evaluate and answer; never raises for a trial's own fault."""

    def join(self, key: bytes) -> None:
        """Advance every assignment together with the other processes of torch's default process group.

        Args:
            key: With which they sign what they send each other: random bytes that nobody else has.

        Raises:
            NotImplementedError: When the workload is not `divisible`.
        """
        raise NotImplementedError

    def lanes(self) -> Lanes:
        """Room for several assignments; a worker that cannot advance them together takes them in turn."""
        return InTurn(self)

    def lanes_worth(self, most: int, part: float) -> tuple[int, str]:
        """How many lanes are worth having, as measured here and now, and why.

        Args:
            most: That can be of use, at least 1.
            part: Share of the machine's free memory that is this worker's, in (0, 1].
        """
        return 1, "this kind of work cannot be done together"

    def close(self) -> None:
        """Let go of what is held."""


@final
class InTurn(Lanes):
    """Lanes of which only the first one moves.

    Args:
        worker: That advances whatever is in.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._queue: deque[Assignment] = deque()

    def enter(self, assignment: Assignment) -> None:
        """Queue it."""
        self._queue.append(assignment)

    def advance(self, beat: Beat) -> list[Outcome]:
        """Run the oldest to its end."""
        if not self._queue:
            return []
        given = self._queue.popleft()
        self.turn = given.id
        try:
            answer = self._worker.advance(given, beat)
        except HungError as error:  # the alarm rang where the worker does not listen
            answer = Failed(given.id, given.trial, given.rung, "hung", str(error))
        self.turn = None
        return [answer]

    def leave(self, assignment: int) -> None:
        """Take it out of the queue."""
        self._queue = deque(queued for queued in self._queue if queued.id != assignment)

    def close(self) -> None:
        """Forget the queue."""
        self._queue.clear()


class Workload(ABC):
    """What a study asks engines to do; picklable within one cluster, and cheap to pickle.

    The data it reads is not part of it: `bulk` travels once per node and is shared by all its workers.
    """

    @property
    @abstractmethod
    def bulk(self) -> Any:
        """Large read-only arrays as a mapping of names to numpy arrays; `{}` when there are none."""

    def describe(self) -> dict[str, Any]:
        """What makes two workloads the same, as plain data: a study never continues with another one."""
        return {"workload": type(self).__name__}

    @property
    def reference_flops(self) -> float:
        """FLOPs of one reference epoch-equivalent: forward and backward over the whole training split."""
        return 1.0

    @property
    def storage(self) -> Location | None:
        """What every worker must be able to read and write; None when there is nothing."""
        return None

    @property
    def divisible(self) -> bool:
        """Whether several processes can advance an assignment together."""
        return False

    @property
    def has_test(self) -> bool:
        """Whether there is a test split to read in the verdict."""
        return False

    def remains(self, assignment: Assignment) -> Remains:
        """What an assignment had spent whose process died without an answer; what was lost is told once.

        Called where the study's driver runs, before the assignment is started again.
        """
        return Remains()

    def pardon(self, assignment: Assignment) -> None:
        """Its process was ended for no fault of its own: where starts are counted, its last one is not."""

    def forget(self, trials: Collection[int]) -> None:
        """Remove what is saved of trials that will never go on; safe to call again."""

    @abstractmethod
    def worker(self, bulk: Any) -> Worker:
        """A worker for this process, reading `bulk` in place."""
