"""Ray Tune's three extension points, reduced to handing assignments out and answers back.

One Tune trial is one seat: a worker process that is given assignments as long as there are some for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ray
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from autotune.cluster.trials.desk import Desk
from autotune.cluster.trials.housekeeping import forget_finished, reason
from autotune.cluster.trials.seat import Seat
from autotune.cluster.trials.sharing import GPU
from autotune.cluster.trials.spares import Kept, let_go
from autotune.cluster.trials.trainable import OUTCOME, unpacked
from autotune.errors import CheckpointError, StorageError
from autotune.events import Reported

_REACTION_S: Final = 5.0  # an extension in place is worth waiting for; correctness never needs it
_IDLE_S: Final = 3600.0  # with no trial alive, Tune has nothing else to do than to wait for us


class SeatSearcher(Searcher):
    """Opens a seat where one is wanted: None while none is, `FINISHED` after the end.

    Args:
        desk: Of the study.
        started: Called once Tune has read its settings.
    """

    def __init__(self, desk: Desk, started: Callable[[], None]) -> None:
        super().__init__()
        self._desk = desk
        self._started = started

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its tuner for a restore that is never used."""
        return {}

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """True: the desk limits how many there are; Tune's limit is frozen at its start."""
        return True

    def suggest(  # type: ignore[override]  # Ray documents FINISHED and leaves it out of the type
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """A seat, which is filled when its process begins."""
        desk = self._desk
        self._started()
        if not desk.seats:  # Tune sleeps a full second per empty answer when nothing runs: wait in its stead
            desk.exchange.wait_for_work(_IDLE_S)
        if desk.exchange.closed:
            return Searcher.FINISHED
        if not desk.wants_seat():
            return None
        part = desk.next_part()
        desk.seats[trial_id] = Seat(part=part)
        return {"seat": trial_id, GPU: part}

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
    """Goes on with a seat as long as the study, or what it has queued, has something for it to do.

    Args:
        desk: Of the study.
        kept: Looks after idle processes; None where they cost nothing.
    """

    def __init__(self, desk: Desk, kept: Kept | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's own
        self._desk, self._kept = desk, kept

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand the answers over, wait for the study's reaction, and fill the seat again."""
        desk, name, actor = self._desk, trial.trial_id, trial.temporary_state.ray_actor
        answers, errors = [], []
        for one in unpacked(result[OUTCOME]):
            if isinstance(one, StorageError | CheckpointError):
                errors.append(one)
            else:
                answers.append(one)
        if (seat := desk.seats.get(name)) is None:
            return TrialScheduler.STOP
        if errors:
            desk.receive(name, answers)  # what was answered before is paid for
            desk.drop(name)  # the others are unanswered, so that a resumed study does them again
            desk.exchange.fail(errors[0])
            return TrialScheduler.STOP
        if (number := desk.receive(name, answers)) and not seat.hung:
            desk.exchange.wait_for_reaction(number, _REACTION_S)
        if seat.hung or (seat.leaving and not seat):
            if actor is not None:  # a thread hangs for ever, or Tune would keep it for the next trial
                ray.kill(actor)
            return TrialScheduler.CONTINUE  # Tune asks it to go on, finds it dead, and starts another one
        if actor is not None:
            advanced = {answer.trial for answer in answers if isinstance(answer, Reported)}
            for assignment in desk.board(name, advanced):
                actor.assign.remote(assignment)
        if seat:
            return TrialScheduler.CONTINUE
        desk.drop(name)  # whatever still happens to the actor, nothing is run again
        return TrialScheduler.STOP

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """None: Tune starts pending trials in their order. Called at every step, so ends are made here."""
        desk = self._desk
        cancelled, superfluous = desk.exchange.take_cancelled(), desk.superfluous()
        if desk.exchange.closed or cancelled or superfluous or desk.orphans:
            desk.orphans = False
            for trial in list(tune_controller.get_live_trials()):
                seat = desk.seats.get(trial.trial_id)
                if seat is None or desk.exchange.closed or trial.trial_id in superfluous:
                    self._end(tune_controller, trial)
                elif unwanted := seat.inside.keys() & cancelled:
                    self._cancel(tune_controller, trial, unwanted)
        if desk.lacks_room():
            let_go(tune_controller)
        elif self._kept is not None:
            self._kept.look(tune_controller)
        return None

    def _cancel(self, tune_controller: Any, trial: Any, unwanted: set[int]) -> None:
        """Have a seat give some up; where nothing else is in, its process is not waited for."""
        seat, actor = self._desk.seats[trial.trial_id], trial.temporary_state.ray_actor
        for number in unwanted:
            self._desk.cancel(trial.trial_id, number)
            if seat and actor is not None:
                actor.leave.remote(number)
        if not seat:
            self._end(tune_controller, trial)

    def _end(self, tune_controller: Any, trial: Any) -> None:
        """End a Tune trial now. Nothing can interrupt the step that it is in, so its process is killed."""
        self._desk.drop(trial.trial_id)
        actor = trial.temporary_state.ray_actor
        if actor is None or self._desk.exchange.closed:
            tune_controller.stop_trial(trial)  # else Tune would keep the dying actor for the next trial
        if actor is not None:
            ray.kill(actor)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Tune starts the seat again. Whose process dies every time is given up."""
        desk = self._desk
        if trial.trial_id not in desk.seats or desk.exchange.closed:
            desk.orphans = True
        elif trial.status == trial.PENDING:  # second call for a warm actor found dead: Tune gives it up
            desk.drop(trial.trial_id)
        else:
            desk.die(trial.trial_id, reason(trial))

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
    """Gives an actor its assignments just before Tune asks it to train.

    It stands in for Tune's own progress display, which remembers every trial for ever.

    Args:
        desk: Of the study.
        equip: Called with an actor that has just started; gives it the workload.
    """

    def __init__(self, desk: Desk, equip: Callable[[Any], None]) -> None:
        self._desk = desk
        self._equip = equip
        self._equipped: set[Any] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its tuner for a restore that is never used."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called for new, restarted and reused actors alike."""
        actor = trial.temporary_state.ray_actor
        identity = actor._actor_id
        if identity not in self._equipped:
            self._equipped.add(identity)
            self._equip(actor)
        if trial.trial_id in self._desk.seats:
            for assignment in self._desk.begin(trial.trial_id, identity):
                actor.assign.remote(assignment)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any
    ) -> None:
        """Shows nothing."""

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Shows nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Shows nothing."""
