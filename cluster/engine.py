"""The engine on Ray Tune: one Tune trial is a seat, a worker process that advances assignments."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

import ray
from ray import tune

from autotune.cluster.fleet import Fleet
from autotune.cluster.footprint import Footprint
from autotune.cluster.live.connection import connect, live_nodes, switches
from autotune.cluster.live.reach import Mark, unreached
from autotune.cluster.trials.adapters import Dispatch, ReactionScheduler, SeatSearcher
from autotune.cluster.trials.desk import Desk
from autotune.cluster.trials.exchange import Exchange
from autotune.cluster.trials.outfit import Outfit, measured_lanes, pickled
from autotune.cluster.trials.sharing import GPU, Shares
from autotune.cluster.trials.spares import Kept, plain_processes
from autotune.cluster.trials.trainable import AssignmentTrainable
from autotune.engines.base import AUTO, Engine, check_lanes
from autotune.engines.watchdog import PATIENCE_S, check_limit
from autotune.errors import ClusterError, ConfigurationError
from autotune.events import Held, LanesChosen, Outcome
from autotune.storage.location import Location
from autotune.work import Assignment, Workload

_PENDING: Final = 10_000  # Tune's own limit; ours is `capacity`
_CLOSE_S: Final = 30.0
_AGAIN: Final = "run the study again, it continues; Ray's logs are in /tmp/ray"
_TUNE: Final = {  # Ray's own switches, which have no arguments
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # no snapshots: the trial log is the only truth
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a lost worker is an event of ours, not a stack trace
    "TUNE_STATE_REFRESH_PERIOD": "1e9",  # what it asks for nobody reads, and it waits for a head that is away
    "RAY_AIR_NEW_OUTPUT": "0",  # the new console output ignores verbose=0
}


@final
class RayEngine(Engine):
    """Runs assignments in worker processes on a Ray cluster, surviving the loss of any of them.

    Args:
        workers: How many there are; None for as many as the cluster holds, also when it grows.
        resources_per_trial: What each occupies, in Ray's names, such as `{"CPU": 4, "GPU": 0.5}`; one that
            asks for no GPU sees none. None is a core and, where nodes have GPUs when the study starts, one of
            them, or its part where more `workers` share those of this machine. A `Footprint`, or its
            attributes by name, for trials of several processes.
        address: None uses this process's connection to Ray, else starts a cluster of our own on loopback;
            `local` starts one, `auto` or `host:port` joins a running one.
        lookahead: Assignments that wait beyond what fits, so that an autoscaler sees demand; None for 4 on a
            cluster that may grow and 0 on our own or with fixed `workers`.
        watchdog_s: Seconds without progress after which a trial is ended as `hung`; None never ends one.
        crashes: Deaths of its worker process (not of a node) that one assignment survives without getting any
            further in between.
        lanes: Trials that one worker advances at the same time, at least 1. With several, those whose models
            have the same shape make their steps together, where that was measured to be faster: for many
            small models. What ends a worker's process takes all its trials back to their newest checkpoints.
            `auto` measures in a worker how many are worth it; the study's log keeps the number.
    """

    def __init__(
        self,
        workers: int | None = None,
        resources_per_trial: Footprint | Mapping[str, Any] | None = None,
        address: str | None = None,
        lookahead: int | None = None,
        watchdog_s: float | None = PATIENCE_S,
        crashes: int = 3,
        *,
        lanes: int | str = 1,
    ) -> None:
        if workers is not None and workers < 1:
            raise ConfigurationError(f"workers must be at least 1, got {workers}; leave it out for all")
        check_limit(watchdog_s)
        check_lanes(lanes)
        self._footprint, self._usual = Footprint.of(resources_per_trial), resources_per_trial is None
        if self._footprint.processes > 1 and lanes != 1:
            raise ConfigurationError(
                f"trials of several processes need lanes=1, got {lanes!r}; leave one out"
            )
        self._workers, self._address, self._lookahead = workers, address, lookahead
        self.watchdog_s, self._crashes = watchdog_s, crashes
        self._measures, self._lanes = lanes == AUTO, lanes if isinstance(lanes, int) else 1
        self._exchange = Exchange()
        self._desk: Desk | None = None
        self._thread: threading.Thread | None = None
        self._folder: Path | None = None
        self._owned = False
        self._bulk: Any = None
        self._outfit: Outfit | None = None
        self._fleet = Fleet(self._footprint)
        self._mark: Mark | None = None

    def start(self, workload: Workload) -> None:
        """Connect, put the data into the object store once, and let Tune run in a thread of its own.

        Raises:
            ConfigurationError: When a node does not see the workload's storage, or it cannot be sent.
            StorageError: When the driver cannot write there.
            StudyError: When no cluster can be started here.
            ClusterError: When the one to join does not answer.
        """
        if self._footprint.processes > 1 and not workload.divisible:
            raise ConfigurationError(
                "only autotune's own training loop is shared by several processes; remove processes from "
                "resources_per_trial, or make the task a ModelTask"
            )
        payload = pickled(workload)
        self._exchange, self._desk = Exchange(), None  # nothing is left of an earlier study
        self._owned = connect(self._address, self._footprint.total, self._workers)
        if self._usual:
            self._footprint = Footprint.usual(live_nodes(), self._workers if self._owned else None)
        self._fleet = Fleet(self._footprint)
        self._check_fit()
        self._check_reach(workload.storage)
        self._fleet.open(grows=not self._owned)
        self._bulk = ray.put(dict(workload.bulk))
        self._folder = Path(tempfile.mkdtemp(prefix="autotune-tune-"))
        processes, shares = self._footprint.processes, Shares(self._footprint.each.get(GPU, 0.0))
        self._desk = Desk(self._exchange, workload, self._crashes, self._lanes, processes, shares)
        self._count_seats(self._desk)
        self._outfit = Outfit(payload, self.watchdog_s, self._mark, processes)  # travels with the call
        self._thread = threading.Thread(
            target=self._fit, args=(self._desk,), name="autotune-tune", daemon=True
        )
        self._thread.start()

    def choose_lanes(self, most: int, before: int | None = None) -> LanesChosen | None:
        """Measured in a process like those of trials, on a machine of theirs."""
        if not self._measures or self._desk is None or self._outfit is None:
            return None
        if before is not None:
            self._desk.widen(before)
            return None
        most = max(1, most // self._desk.places)
        chosen = LanesChosen(*measured_lanes(self._outfit, self._bulk, self._footprint.each, most))
        self._desk.widen(chosen.lanes)
        return chosen

    def submit(self, assignment: Assignment) -> None:
        """Queue an assignment; it extends the trial's last one in place if it answers its outcome."""
        self._exchange.submit(assignment)

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Outcomes that have arrived; waits for one, at most `timeout_s` seconds.

        Raises:
            StorageError, CheckpointError: What a worker could not save, read or continue; no trial is failed.
            ClusterError: When Ray Tune itself has failed.
            StudyError: When actors never start.
        """
        return self._exchange.collect(timeout_s)

    def cancel(self, assignment: int) -> None:
        """Forget a queued assignment; one that runs leaves its lane, or is ended with its process."""
        self._exchange.cancel(assignment)

    def capacity(self) -> int:
        """What the cluster's lanes hold now, and the lookahead."""
        if self._desk is not None:
            self._count_seats(self._desk)
        places, ahead = self._places()
        return max(1, places * self.lanes + ahead)

    @property
    def devices(self) -> int:  # type: ignore[override]  # as below
        """Processes that advance a trial together."""
        return self._footprint.processes

    @property
    def lanes(self) -> int:  # type: ignore[override]  # an attribute of engines whose number never changes
        """How many a worker has: as many as it was to have, or fewer for the memory."""
        return self._lanes if self._desk is None else self._desk.lanes

    def held(self) -> Held:
        """All machines of the cluster since `start`, those included that are still booting."""
        return self._fleet.held

    def close(self) -> None:
        """Stop all work; shut the cluster down if it is our own."""
        self._exchange.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_CLOSE_S)
        self._fleet.close()
        self._bulk = self._outfit = None
        if self._owned and ray.is_initialized():
            ray.shutdown()
            self._owned = False
        if self._mark is not None:
            self._mark.remove()
            self._mark = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _equip(self, actor: Any) -> None:
        """Give a worker that has just started what it needs."""
        if self._desk is not None:
            actor.equip.remote(self._outfit, self._bulk, self._desk.most)

    def _places(self) -> tuple[int, int]:
        """Workers that the cluster holds or will soon, and what the study submits beyond them."""
        if self._workers is not None:
            return self._workers, self._lookahead or 0
        ahead = self._lookahead if self._lookahead is not None else (0 if self._owned else 4)
        return self._fleet.room(ahead), ahead

    def _count_seats(self, desk: Desk) -> None:
        """A growing cluster is to see demand for more than it has; a number of workers is kept to."""
        places, ahead = self._places()
        desk.places = max(1, self._workers or self._fleet.fits)
        desk.limit = self._workers or max(1, places + ahead)

    def _check_reach(self, place: Location | None) -> None:
        """On a cluster each machine must see what the driver writes; later ones look themselves."""
        if place is not None and not self._owned:
            self._mark = Mark.plant(place)
            if problems := unreached(self._mark):
                raise ConfigurationError("\n".join(problems))

    def _check_fit(self) -> None:
        """On our own cluster, which cannot grow, a trial that fits nowhere would wait for ever."""
        if self._owned and self._footprint.fits(live_nodes()) == 0:
            offered: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's own
            have = {name: amount for name, amount in offered.items() if ":" not in name}
            self.close()
            raise ConfigurationError(
                f"resources_per_trial={self._footprint.asked} do not fit; this machine offers {have}"
            )

    def _fit(self, desk: Desk) -> None:
        """Tune's thread."""
        loading = switches(_TUNE)  # Ray reads them before it asks for the first trial
        started = threading.Event()

        def begin() -> None:
            if not started.is_set():
                started.set()
                loading.__exit__(None, None, None)

        loading.__enter__()
        try:
            tuner = tune.Tuner(
                tune.with_resources(AssignmentTrainable, self._footprint.placement),
                tune_config=tune.TuneConfig(
                    search_alg=SeatSearcher(desk, begin),
                    scheduler=ReactionScheduler(desk, None if self._owned else Kept()),
                    num_samples=-1,
                    max_concurrent_trials=_PENDING,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="study",
                    storage_path=str(self._folder),
                    failure_config=tune.FailureConfig(max_failures=-1),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    callbacks=[Dispatch(desk, self._equip)],
                    verbose=0,
                ),
            )
            with plain_processes():
                tuner.fit()
            if not self._exchange.closed:
                self._exchange.fail(ClusterError(f"Ray Tune ended before the study did; {_AGAIN}"))
        except BaseException as error:
            failure = ClusterError(f"Ray Tune failed: {type(error).__name__}: {error}; {_AGAIN}")
            failure.__cause__ = error
            self._exchange.fail(failure)
        finally:
            begin()
