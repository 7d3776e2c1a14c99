"""A cluster that is up, as whoever submits studies sees it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, final

from autotune.cluster.description.findings import refuse
from autotune.cluster.launch.files import folder_of, ready
from autotune.cluster.launch.lifecycle import launcher_of
from autotune.cluster.live.access import Access
from autotune.cluster.live.jobs import Jobs, connect
from autotune.cluster.validate.offline import budget
from autotune.errors import ConfigurationError
from autotune.storage.location import locate
from autotune.study.submission import Handle, find, submit
from autotune.study.yaml_form import read_study


@final
class RunningCluster:
    """A cluster to submit studies to; it is reached when it is first needed, until the context ends.

    >>> with RunningCluster("cluster.yaml") as cluster:  # doctest: +SKIP
    ...     handle = cluster.submit("study.yaml")  # once, however often it is asked for
    ...     result = handle.result()

    Args:
        where: The file of a spec, or how the dashboard of a cluster is reached.
        token_file: Holds the token and nothing else, instead of the one that `where` names.

    Raises:
        ConfigurationError: When the spec has anything wrong or left to fill in, with every finding.
    """

    def __init__(self, where: str | Path | Access, token_file: str | Path | None = None) -> None:
        self._where = where if isinstance(where, Access) else Path(where)
        self._token = None if token_file is None else Path(token_file)
        self._open: ExitStack | None = None
        self.spec = None if isinstance(self._where, Access) else ready(self._where)

    def __enter__(self) -> Self:
        self._open = ExitStack()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None
        self.__dict__.pop("jobs", None)  # reached anew, should it be entered again

    @cached_property
    def jobs(self) -> Jobs:
        """The cluster's jobs.

        Raises:
            ClusterError: When it cannot be reached.
            ConfigurationError: When it is open to everybody, or our token does not open it.
            RuntimeError: When it is that of a spec, and the context was not entered.
        """
        if isinstance(self._where, Access):
            return connect(replace(self._where, token_file=self._token or self._where.token_file))
        if self._open is None:  # what leads to its head would be gone before a handle is asked
            raise RuntimeError(
                "the cluster of a spec is reached within `with RunningCluster(...) as cluster:`"
            )
        assert self.spec is not None
        named = self.spec.authentication.token_file
        door = launcher_of(self.spec, folder_of(self.spec, self._where)).door()
        token = self._token or (None if named is None else Path(named))
        return connect(Access(self._open.enter_context(door), token))

    def submit(self, study: str | Path, path: str | None = None) -> Handle:
        """Run the study of a YAML file, or find the job that already does: see `submission.submit`.

        What cannot work is found before the cluster is asked for anything.

        Args:
            study: The YAML file.
            path: The study's folder; below the spec's storage when None.

        Raises:
            ConfigurationError: When the file of the study cannot work, its budget does not hold one trial,
                another one runs or is done for the same folder, or the file holds what looks like a secret.
            ClusterError: When the cluster cannot be reached or takes no job.
        """
        found, trial, prices = read_study(study), None, None
        if self.spec is not None:
            refuse(budget(self.spec, vars(found.plan.budget)))
            trial, prices = self.spec.nodes.trial.resources, self.spec.prices
            path = path or str(locate(self.spec.storage.path) / Path(study).stem)
        if path is None:
            raise ConfigurationError(
                "the study's folder is missing: give a path (--path) on storage that all nodes reach"
            )
        return submit(study, path, self.jobs, trial, prices)

    def find(self, path_or_id: str) -> Handle:
        """The latest job of a study, by its folder or by the job's id.

        Raises:
            ConfigurationError: When the cluster has no such job.
            ClusterError: When it cannot be reached.
        """
        return find(path_or_id, self.jobs)
