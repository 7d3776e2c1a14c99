"""One job of Slurm."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, final

from autotune.cluster.description.spec import ClusterSpec
from autotune.cluster.launch.launcher import Seen, State
from autotune.cluster.launch.program import run
from autotune.cluster.render.scripts import prepared
from autotune.errors import ClusterError, ConfigurationError

RUNNING: Final = "RUNNING"


@final
class SlurmJob:
    """Submits the batch script, and finds its job by its name.

    Args:
        spec: Of the cluster.
        folder: Of `job.sbatch`; gets the job's output.
    """

    def __init__(self, spec: ClusterSpec, folder: Path) -> None:
        self._spec, self._folder = spec, folder

    def look(self) -> Seen:
        """What the queue says."""
        job = self._job()
        if job is None:
            return Seen(State.ABSENT)
        return Seen(State.UP if job[1] == RUNNING else State.STARTING, f"job {job[0]} is {job[1]}")

    def start(self) -> None:
        """`sbatch`."""
        run(["sbatch", f"--chdir={self._folder.resolve()}", str(self._folder / "job.sbatch")])

    def stop(self) -> None:
        """`scancel`: SIGTERM for the driver, which saves itself."""
        if (job := self._job()) is not None:
            run(["scancel", job[0]])

    def on_head(self, line: str, patience_s: float) -> str:
        """On the job's first node, beside what runs there."""
        job = self._job()
        if job is None or job[1] != RUNNING:
            raise ClusterError(f"no job {self._spec.name!r} of yours runs; `autotune cluster up` submits one")
        one = [f"--jobid={job[0]}", "--overlap", "--nodes=1", "--ntasks=1", "--relative=0"]
        return run(["srun", *one, "bash", "-c", prepared(self._spec) + line], patience_s)

    def door(self) -> AbstractContextManager[str]:
        """None: the dashboard is on loopback of a node, and the study is part of the job."""
        raise ConfigurationError(
            "a Slurm job runs the study of its entrypoint and takes no other; change where.slurm.entrypoint"
        )

    def _job(self) -> tuple[str, str] | None:
        """Number and state of the newest job of this name."""
        listed = run(["squeue", "--me", f"--name={self._spec.name}", "--noheader", "--format=%i %T"])
        rows = [line.split() for line in listed.splitlines() if line.strip()]
        return (rows[-1][0], rows[-1][1]) if rows else None
