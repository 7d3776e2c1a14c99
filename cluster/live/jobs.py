"""Jobs of a running cluster, as its dashboard tells of them: begun, watched and ended from anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar, cast, final

from autotune.cluster.live.access import Access
from autotune.errors import ClusterError

_ANSWER_S: Final = 60.0  # in which a head that lives answers a request
_EVERY_S: Final = 2.0
_T = TypeVar("_T")


class State(StrEnum):
    """What has become of a job."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (State.PENDING, State.RUNNING)


STATES: Final[Mapping[str, State]] = {
    "PENDING": State.PENDING,
    "RUNNING": State.RUNNING,
    "SUCCEEDED": State.DONE,
    "FAILED": State.FAILED,
    "STOPPED": State.STOPPED,
}


class Jobs(Protocol):
    """What is used of Ray's `JobSubmissionClient`."""

    def submit_job(
        self, *, entrypoint: str, submission_id: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> str:
        """Begin a job."""

    def get_job_info(self, job_id: str) -> Any:
        """Its status, exit code and metadata."""

    def list_jobs(self) -> list[Any]:
        """All jobs of the cluster."""

    def get_job_logs(self, job_id: str) -> str:
        """What it has printed."""

    def stop_job(self, job_id: str) -> bool:
        """Ask it to end."""


@dataclass(frozen=True)
class Standing:
    """Where a job stands.

    Attributes:
        state: What has become of it.
        exit_code: Of `autotune run`; None while it runs, and where the process did not end by itself.
        message: Ray's own words.
    """

    state: State
    exit_code: int | None = None
    message: str = ""


@dataclass(frozen=True)
class Job:
    """One job of a cluster.

    Attributes:
        id: Its name.
        jobs: The cluster's jobs.
    """

    id: str
    jobs: Jobs = field(repr=False)

    def poll(self) -> Standing:
        """Where it stands now."""
        found = reached(lambda: self.jobs.get_job_info(self.id))
        state = STATES.get(str(getattr(found.status, "value", found.status)), State.PENDING)
        return Standing(state, found.driver_exit_code, found.message or "")

    def wait(self, timeout_s: float | None = None) -> Standing:
        """Where it stands when it has ended, or after so many seconds."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not (standing := self.poll()).state.ended:
            if end is not None and time.monotonic() + _EVERY_S > end:
                break
            time.sleep(_EVERY_S)
        return standing

    def cancel(self) -> None:
        """Ask it to end; everything committed stays, and submitting it again continues it."""
        reached(lambda: self.jobs.stop_job(self.id))

    def logs(self) -> str:
        """What it has printed so far."""
        return str(reached(lambda: self.jobs.get_job_logs(self.id)))

    def metadata(self) -> Mapping[str, str]:
        """What was noted about it when it was begun."""
        return reached(lambda: self.jobs.get_job_info(self.id)).metadata or {}


def connect(access: Access) -> Jobs:
    """The jobs of a cluster.

    Raises:
        ClusterError: When it cannot be reached.
        ConfigurationError: When it is open to everybody, or our token does not open it.
    """
    access.check()  # in seconds, and in plain words
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):
        """Ray's, which would wait for ever for a head that has stalled."""

        def _do_request(self, *given: Any, **named: Any) -> Any:
            try:
                return super()._do_request(*given, **{"timeout": _ANSWER_S, **named})
            except RayError as error:
                raise ConnectionError(str(error)) from error

    def client() -> Jobs:
        found: Jobs = Client(access.address, headers=access.headers)
        return found

    if access.address.startswith("https:"):
        return reached(client)
    with _without_proxies():
        return cast(Jobs, _Direct(reached(client)))


@final
class _Direct:
    """Ray's client, kept from asking by way of a proxy, which would be shown our token in clear."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._jobs, name)

        def asked(*given: Any, **named: Any) -> Any:
            with _without_proxies():
                return act(*given, **named)

        return asked


@contextmanager
def _without_proxies() -> Iterator[None]:
    """The client takes no argument for it, and reads the environment for each request."""
    from autotune.cluster.live.connection import switches

    with switches({"no_proxy": "*"}):
        yield


def numbered(name: str, jobs: Jobs) -> Mapping[int, str]:
    """The ids of all jobs `name-1`, `name-2`, ... by their number, in its order."""
    found = {}
    for job in reached(jobs.list_jobs):
        head, _, number = (job.submission_id or "").rpartition("-")
        if head == name and number.isdigit():
            found[int(number)] = job.submission_id
    return dict(sorted(found.items()))


def reached(act: Callable[[], _T]) -> _T:
    """What a cluster answers.

    Raises:
        ClusterError: When it does not, or not as it should.
    """
    try:
        return act()
    except (RuntimeError, ConnectionError, OSError) as error:
        raise ClusterError(f"the cluster does not answer as it should: {error}") from error
