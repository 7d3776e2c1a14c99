"""A study as a job of a running cluster: submitted once however often one asks, and watched from anywhere."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol, final

from autotune.cluster.access import Access
from autotune.cluster.secret_scan import refuse_secrets
from autotune.errors import ClusterError, ConfigurationError

_DIGEST: Final = "autotune_study"  # what a job's metadata call the digest of its study's file
_PATH: Final = "autotune_path"
_EVERY_S: Final = 2.0
PRIVATE: Final = (  # as in a .gitignore
    *(".env", ".env.*", ".netrc", ".pgpass", ".aws/", ".ssh/", ".kube/", ".ray/", "*.pem", "*.key", "id_rsa"),
    *("id_ed25519", "auth_token", "credentials.json", "service-account*.json"),
)


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


@final
@dataclass(frozen=True)
class Handle:
    """A submitted study. What it has come to, `autotune.Result.load(handle.path)` reads from its folder.

    Attributes:
        id: Of the job.
        path: The study's folder, on storage that all nodes of the cluster reach.
        jobs: The cluster's jobs.
    """

    id: str
    path: str
    jobs: Jobs = field(repr=False)

    def poll(self) -> Standing:
        """Where it stands now."""
        found = _reached(lambda: self.jobs.get_job_info(self.id))
        return _standing(found)

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
        _reached(lambda: self.jobs.stop_job(self.id))

    def logs(self) -> str:
        """What it has printed so far."""
        return str(_reached(lambda: self.jobs.get_job_logs(self.id)))


def connect(access: Access) -> Jobs:
    """The jobs of a cluster.

    Raises:
        ClusterError: When it cannot be reached.
        ConfigurationError: When it is open to everybody, or our token does not open it.
    """
    access.check()  # in seconds, and in plain words
    from ray.job_submission import JobSubmissionClient

    jobs: Jobs = _reached(lambda: JobSubmissionClient(access.address, headers=access.headers))
    return jobs


def submit(
    study: str | Path,
    path: str,
    jobs: Jobs,
    trial: Mapping[str, float] | None = None,
    prices: Mapping[str, float] | None = None,
) -> Handle:
    """Run the study of a YAML file on a cluster, or find the job that already does.

    The folder of the file travels with it, so that what the task imports from there is found, but for files
    in which secrets usually are (`PRIVATE`). A study that was submitted before and has not succeeded is
    submitted again and continues; one that runs or is done is not.

    Args:
        study: The YAML file.
        path: The study's folder, on storage that all nodes reach; it is what makes two submissions the same.
        jobs: Of the cluster, see `connect`.
        trial: What a trial occupies, in Ray's names, where the file does not say.
        prices: Per hour, by type of machine, where the file has none.

    Raises:
        ConfigurationError: When another study was submitted for the same folder, or the file holds what
            looks like a secret.
        ClusterError: When the cluster cannot be reached or takes no job.
    """
    file = Path(study).resolve()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}; give a study's YAML file") from error
    refuse_secrets(content.decode(errors="replace"))
    digest = hashlib.sha256(content).hexdigest()
    name = study_id(path)
    earlier = sorted(_attempts(name, jobs))
    if earlier:
        _, job = earlier[-1]
        given = (_reached(lambda: jobs.get_job_info(job)).metadata or {}).get(_DIGEST)
        if given != digest:
            raise ConfigurationError(
                f"{path} belongs to job {job}, which was submitted with another study file; choose another "
                "path, or submit the file as it was"
            )
        standing = Handle(job, path, jobs).poll()
        if not standing.state.ended or standing.state is State.DONE:
            return Handle(job, path, jobs)
    job = f"{name}-{earlier[-1][0] + 1 if earlier else 1}"
    command = ["python", "-m", "autotune", "run", file.name, "--path", path, "--engine", "ray"]
    for option, amounts in (("--trial", trial), ("--prices", prices)):
        command += [option, ",".join(f"{name}={n:g}" for name, n in amounts.items() if n)] if amounts else []
    try:
        jobs.submit_job(
            entrypoint=shlex.join([*command, "--address", "auto", "--json"]),
            submission_id=job,
            runtime_env={"working_dir": str(file.parent), "excludes": list(PRIVATE)},
            metadata={_DIGEST: digest, _PATH: path},
        )
    except RuntimeError as error:
        if all(job != other for _, other in _attempts(name, jobs)):
            raise ClusterError(f"the cluster takes no job: {error}") from error
        # else somebody submitted the same study at the same moment
    return Handle(job, path, jobs)


def find(path_or_id: str, jobs: Jobs) -> Handle:
    """The latest job of a study, by its folder or by the job's id.

    Raises:
        ConfigurationError: When the cluster has no such job.
    """
    attempts = sorted(_attempts(study_id(path_or_id), jobs))
    if attempts:
        return Handle(attempts[-1][1], path_or_id, jobs)
    for job in _reached(jobs.list_jobs):
        if job.submission_id == path_or_id:
            return Handle(path_or_id, (job.metadata or {}).get(_PATH, ""), jobs)
    raise ConfigurationError(
        f"this cluster has no job of {path_or_id!r}; name a study's folder or a job's id"
    )


def study_id(path: str) -> str:
    """What all jobs of a study have in common: a name that follows from its folder.

    >>> study_id("s3://bucket/digits") == study_id("s3://bucket/digits/")
    True
    """
    plain = path.rstrip("/")
    words = re.sub(r"[^a-zA-Z0-9]+", "-", plain.rsplit("/", 1)[-1]).strip("-").lower()[:32] or "study"
    return f"{words}-{hashlib.sha256(plain.encode()).hexdigest()[:12]}"


def _attempts(name: str, jobs: Jobs) -> Iterator[tuple[int, str]]:
    """Every job of a study: which submission it was, and its id."""
    for job in _reached(jobs.list_jobs):
        head, _, number = (job.submission_id or "").rpartition("-")
        if head == name and number.isdigit():
            yield int(number), job.submission_id


def _standing(found: Any) -> Standing:
    state = STATES.get(str(getattr(found.status, "value", found.status)), State.PENDING)
    return Standing(state, found.driver_exit_code, found.message or "")


def _reached(act: Any) -> Any:
    try:
        return act()
    except (RuntimeError, ConnectionError, OSError) as error:
        raise ClusterError(f"the cluster does not answer as it should: {error}") from error
