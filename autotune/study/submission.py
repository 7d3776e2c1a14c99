"""A study as a job of a cluster: submitted once however often one asks, and its result read from anywhere."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from autotune.cluster.description.secret_scan import refuse_secrets
from autotune.cluster.live.jobs import Job, Jobs, State, numbered, reached
from autotune.errors import BUDGET, CONFIGURATION, FAILED, ClusterError, ConfigurationError, StudyError
from autotune.study.result import Result

_DIGEST: Final = "autotune_study"  # what a job's metadata call the digest of its study's file
_PATH: Final = "autotune_path"
_TOO_LARGE: Final = re.compile("status code 413|maximum size|maximum request body size", re.IGNORECASE)
PRIVATE: Final = (  # as in a .gitignore
    *(".env", ".env.*", ".netrc", ".pgpass", ".aws/", ".ssh/", ".kube/", ".ray/", "*.pem", "*.key", "id_rsa"),
    *("id_ed25519", "auth_token", "credentials.json", "service-account*.json"),
)


@final
@dataclass(frozen=True)
class Handle(Job):
    """A submitted study: the job that runs it, and the folder that it is remembered in.

    Attributes:
        id: Of the job.
        jobs: The cluster's jobs.
        path: The study's folder, on storage that all nodes of the cluster reach.
    """

    path: str

    def result(self, timeout_s: float | None = None) -> Result:
        """What the study has found, when it has ended; read from its folder, which this machine must reach.

        Where its budget ended the confirmation early, `Result.cut` says so. Before the end,
        `Result.load(handle.path)` says what there is.

        Raises:
            TimeoutError: When it goes on for longer than `timeout_s` seconds.
            ConfigurationError: When it could not work as it was written.
            StudyError: When it has failed.
            ClusterError: When it was stopped or lost; submitted again it continues.
        """
        standing = self.wait(timeout_s)
        if not standing.state.ended:
            raise TimeoutError(f"{self.id} is {standing.state.value} after {timeout_s:g} s; wait longer")
        if standing.state is State.DONE or standing.exit_code == BUDGET:
            return Result.load(self.path)
        reasons = {FAILED: StudyError, CONFIGURATION: ConfigurationError}
        kind = reasons.get(standing.exit_code or 0, ClusterError)
        hint = "; submit it again to continue it" if kind is ClusterError else ""
        said = f" ({standing.message})" if standing.message else ""
        raise kind(f"{self.id} is {standing.state.value}{said}, see `autotune logs {self.path}`{hint}")


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
    submitted again and continues, also with a file that was mended (the study itself refuses another one for
    its folder); one that runs or is done is not.

    Args:
        study: The YAML file.
        path: The study's folder, on storage that all nodes reach; it is what makes two submissions the same.
        jobs: Of the cluster, see `autotune.cluster.live.jobs.connect`.
        trial: What a trial occupies, in Ray's names, where the file does not say.
        prices: Per hour, by type of machine, where the file has none.

    Raises:
        ConfigurationError: When another study runs or is done for the same folder, or the file holds what
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
    earlier = numbered(name, jobs)
    if earlier:
        last = Handle(earlier[max(earlier)], jobs, path)
        state = last.poll().state
        if not state.ended or state is State.DONE:
            _same(last, digest)
            return last
    job = f"{name}-{max(earlier, default=0) + 1}"
    command = ["python", "-m", "autotune", "run", file.name, "--path", path, "--engine", "ray"]
    needed = {name: amount for name, amount in (trial or {}).items() if amount}
    for option, amounts in (("--trial", needed), ("--prices", prices)):
        command += [option, ",".join(f"{name}={n:.15g}" for name, n in amounts.items())] if amounts else []
    try:
        jobs.submit_job(
            entrypoint=shlex.join([*command, "--address", "auto", "--json"]),
            submission_id=job,
            runtime_env={"working_dir": str(file.parent), "excludes": list(PRIVATE)},
            metadata={_DIGEST: digest, _PATH: path},
        )
    except (RuntimeError, ValueError, OSError) as error:  # a lost connection is one of requests' OSErrors
        if _TOO_LARGE.search(str(error)):
            raise ConfigurationError(
                f"the folder of the study's file, {file.parent}, is too large to send: {error}; list data, "
                "weights and results in a .gitignore or .rayignore there, or keep them elsewhere"
            ) from error
        if job not in numbered(name, jobs).values():
            raise ClusterError(f"the cluster takes no job: {error}") from error
        _same(Handle(job, jobs, path), digest)  # somebody submitted it at the same moment
    return Handle(job, jobs, path)


def _same(job: Handle, digest: str) -> None:
    """Refuse a job of another file than this one."""
    if job.metadata().get(_DIGEST) != digest:
        state = job.poll().state.value
        raise ConfigurationError(
            f"{job.path} belongs to job {job.id}, which is {state} and was submitted with another study "
            "file; choose another path, or submit the file as it was"
        )


def find(path_or_id: str, jobs: Jobs) -> Handle:
    """The latest job of a study, by its folder or by the job's id.

    Raises:
        ConfigurationError: When the cluster has no such job.
    """
    attempts = numbered(study_id(path_or_id), jobs)
    if attempts:
        return Handle(attempts[max(attempts)], jobs, path_or_id)
    for job in reached(jobs.list_jobs):
        if job.submission_id == path_or_id:
            return Handle(path_or_id, jobs, (job.metadata or {}).get(_PATH, ""))
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
