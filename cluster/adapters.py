"""Ray Tune's three extension points, reduced to handing assignments out and outcomes back."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import ray
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from autotune.cluster.connection import machine_lost
from autotune.cluster.exchange import Exchange
from autotune.cluster.housekeeping import forget_finished, reason
from autotune.cluster.losses import Losses
from autotune.cluster.trainable import OUTCOME, unpacked
from autotune.errors import CheckpointError, StorageError, StudyError
from autotune.events import Failed, Interrupted, Reported
from autotune.ledger import Charge, Label, Ledger
from autotune.work import Assignment, Remains

_REACTION_S: Final = 5.0  # an extension in place is worth waiting for; correctness never needs it
_IDLE_S: Final = 3600.0  # with no trial alive, Tune has nothing else to do than to wait for us
_STILLBORN: Final = 5  # actors of one assignment that did not start, in a row, after which none will

logger = logging.getLogger(__name__)


@dataclass
class Desk:
    """What Tune's thread knows: which Tune trial does which assignment.

    Attributes:
        exchange: To and from the study.
        equipment: Called with an actor that has just started; gives it the workload.
        crashes: Deaths of worker processes that one assignment survives.
        limit: Tune trials alive at once; None leaves that to what the cluster holds.
        started: Called once Tune has read its settings.
        remains: What an assignment had spent whose process died.
        current: The assignment of each live Tune trial.
    """

    exchange: Exchange
    equipment: Callable[[Any], None]
    crashes: int
    limit: int | None
    started: Callable[[], None]
    remains: Callable[[Assignment], Remains] = lambda assignment: Remains()
    current: dict[str, Assignment] = field(default_factory=dict)
    actors: dict[str, Any] = field(default_factory=dict)  # by Tune trial: the one that it was started in
    deaths: dict[int, list[Any]] = field(default_factory=dict)  # by assignment: the actors that died in it
    equipped: set[Any] = field(default_factory=set)
    stillborn: Counter[int] = field(default_factory=Counter)  # by assignment
    losses: Losses = field(default_factory=Losses)
    orphans: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its tuner for a restore that is never used."""
        return {}

    def whole(self, hung: Failed, assignment: Assignment) -> Failed:
        """The answer for a trial that hangs, which knows its seconds only, with what was noted of it."""
        remains = self.remains(assignment)
        spent = remains.saved + remains.lost
        waited = max(0.0, hung.ledger.total.seconds - spent.total.seconds)
        return replace(hung, ledger=spent + Ledger({Label.OVERHEAD: Charge(0.0, waited)}))

    def drop(self, trial_id: str) -> None:
        """A Tune trial has ended."""
        self.current.pop(trial_id, None)
        self.actors.pop(trial_id, None)
        self.losses.forget(trial_id)


class AssignmentSearcher(Searcher):
    """Hands out queued assignments: None while there is none, `FINISHED` after the end."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """True: the study limits what is in flight, by `capacity`; Tune's limit is frozen at its start."""
        return True

    def suggest(  # type: ignore[override]  # Ray documents FINISHED and leaves it out of the type
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """The oldest queued assignment as a Tune trial."""
        desk = self._desk
        desk.started()
        if desk.exchange.closed:
            return Searcher.FINISHED
        if desk.limit is not None and len(desk.current) >= desk.limit:
            return None
        # Tune sleeps a full second per empty answer when nothing runs, so this waits in its stead.
        assignment = desk.exchange.next(0.0 if desk.current else _IDLE_S)
        if assignment is None:
            return Searcher.FINISHED if desk.exchange.closed else None
        desk.current[trial_id] = assignment
        return {"assignment": assignment.id}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The actor is free again."""
        self._desk.drop(trial_id)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the trial log is the only truth."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class ReactionScheduler(TrialScheduler):
    """Ends a Tune trial after each outcome, unless the study extends its assignment at once."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's own
        self._desk = desk

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand the outcome over, wait for the study's reaction, and go on only if it extends this trial."""
        desk = self._desk
        answer = unpacked(result[OUTCOME])
        if isinstance(answer, StorageError | CheckpointError):
            desk.drop(trial.trial_id)  # unanswered, so that a resumed study does it again
            desk.exchange.fail(answer)
            return TrialScheduler.STOP
        if isinstance(answer, Interrupted):
            return self._leave(trial, answer)
        if isinstance(answer, Failed) and answer.kind == "hung":
            answer = desk.whole(answer, desk.current[trial.trial_id])
        outcome = desk.losses.settle(trial.trial_id, answer)
        desk.deaths.pop(outcome.assignment, None)
        number = desk.exchange.answer(outcome)
        following = desk.exchange.reaction(number, outcome.trial, _REACTION_S)
        actor = trial.temporary_state.ray_actor
        if following is None or actor is None or not isinstance(outcome, Reported):
            if following is not None:
                desk.exchange.submit(following)
            desk.drop(trial.trial_id)  # answered: whatever still happens to the actor, it is not run again
            if isinstance(outcome, Failed) and outcome.kind == "hung" and actor is not None:
                ray.kill(actor)  # its thread hangs for ever; asked to go on, Tune finds it dead
                return TrialScheduler.CONTINUE
            return TrialScheduler.STOP
        desk.current[trial.trial_id] = following
        desk.losses.begin(trial.trial_id)
        actor.assign.remote(following)
        return TrialScheduler.CONTINUE

    def _leave(self, trial: Any, told: Interrupted) -> str:
        """The trial is saved, and its machine about to go: ask for another one now, before it is gone."""
        desk = self._desk
        assignment = desk.current[trial.trial_id]
        remains = desk.remains(assignment)
        desk.losses.lose(trial.trial_id, assignment.id, remains.lost.total.seconds)
        desk.exchange.answer(replace(told, ledger=remains.lost, node=told.node))
        desk.drop(trial.trial_id)
        desk.exchange.put_back(assignment)
        if trial.temporary_state.ray_actor is not None:
            ray.kill(trial.temporary_state.ray_actor)  # else Tune would keep it for the next trial
        return TrialScheduler.CONTINUE

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """None: Tune starts pending trials in their order. Called at every step, so cancellations go here."""
        desk = self._desk
        cancelled = desk.exchange.take_cancelled()
        if desk.exchange.closed or cancelled or desk.orphans:
            desk.orphans = False
            for trial in list(tune_controller.get_live_trials()):
                assignment = desk.current.get(trial.trial_id)
                if desk.exchange.closed or assignment is None or assignment.id in cancelled:
                    self._end(tune_controller, trial)
        return None

    def _end(self, tune_controller: Any, trial: Any) -> None:
        """End a Tune trial now. Nothing can interrupt the step that it is in, so its process is killed."""
        self._desk.drop(trial.trial_id)
        actor = trial.temporary_state.ray_actor
        if actor is None or self._desk.exchange.closed:
            tune_controller.stop_trial(trial)  # else Tune would keep the dying actor for the next trial
        if actor is not None:
            ray.kill(actor)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Tune starts the assignment again; the study is told. A process that dies every time is given up."""
        desk = self._desk
        assignment = desk.current.get(trial.trial_id)
        if assignment is None or desk.exchange.closed:
            desk.orphans = True
            return
        if trial.status == trial.PENDING:  # second call for a warm actor found dead: Tune gives this trial up
            desk.drop(trial.trial_id)
            desk.exchange.put_back(assignment)
            return
        text = reason(trial)
        remains = desk.remains(assignment)
        began = desk.losses.lose(trial.trial_id, assignment.id, remains.lost.total.seconds)
        lost = Interrupted(assignment.id, assignment.trial, text, remains.lost, remains.node)
        desk.exchange.answer(lost)
        if "node has died" in text:  # nobody's fault, however often
            return
        if not began:
            desk.stillborn[assignment.id] += 1
            if desk.stillborn[assignment.id] >= _STILLBORN:
                desk.exchange.fail(StudyError(f"{_STILLBORN} Ray actors in a row did not start: {text}"))
            return
        dead = desk.deaths.setdefault(assignment.id, [])
        dead.append(desk.actors.get(trial.trial_id))
        if len(dead) > desk.crashes:  # Ray often tells of a machine's death only after those of its processes
            dead[:] = [actor for actor in dead if not machine_lost(actor)]
        if len(dead) > desk.crashes:
            kind = "memory" if "running low on memory" in text else "crashed"
            message = f"its worker process died {len(dead)} times: {text}"
            spent, node = remains.saved, remains.node
            failed = Failed(assignment.id, assignment.trial, assignment.rung, kind, message, spent, node)
            desk.exchange.answer(desk.losses.settle(trial.trial_id, failed))
            desk.drop(trial.trial_id)
            desk.orphans = True

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Nothing to remember."""

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The searcher is told, too; the trials before this one are forgotten."""
        forget_finished(tune_controller)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """The searcher is told, too."""

    def debug_string(self) -> str:
        """For Tune's own progress display, which is off."""
        return "autotune decides"


class Dispatch(TrialProgressCallback):
    """Gives an actor its assignment just before Tune asks it to train.

    It stands in for Tune's own progress display, which remembers every trial for ever.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called for new, restarted and reused actors alike."""
        desk = self._desk
        desk.losses.begin(trial.trial_id)
        actor = trial.temporary_state.ray_actor
        identity = desk.actors[trial.trial_id] = actor._actor_id
        if identity not in desk.equipped:
            desk.equipped.add(identity)
            desk.equipment(actor)
        assignment = desk.current.get(trial.trial_id)
        if assignment is not None:
            desk.stillborn.pop(assignment.id, None)
            actor.assign.remote(assignment)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any
    ) -> None:
        """Shows nothing."""

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Shows nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Shows nothing."""
