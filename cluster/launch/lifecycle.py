"""Up, down, and what there is: the same for every launcher."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, final

from autotune.cluster.description.places import Kubernetes, Local, OnPremises, Slurm
from autotune.cluster.description.spec import TOKEN_FILE, ClusterSpec
from autotune.cluster.description.spec_yaml import to_yaml
from autotune.cluster.launch.kubectl import Kubectl
from autotune.cluster.launch.launcher import Launcher, Seen, State
from autotune.cluster.launch.local import LocalLauncher
from autotune.cluster.launch.ray_up import RayUp
from autotune.cluster.launch.slurm import SlurmJob
from autotune.cluster.live.standing import Standing
from autotune.cluster.render.common import DASHBOARD_PORT, LOOPBACK, activation, shell_path
from autotune.cluster.render.files import render
from autotune.errors import ClusterError, ConfigurationError

LOOK_S: Final = 2.0
CHECK_S: Final = 180.0
ASK_S: Final = 60.0


def launcher_of(spec: ClusterSpec, folder: Path) -> Launcher:
    """The launcher of a spec, whose files are in a folder.

    What was started from another machine is reached, and ended, by files too: where the folder has none,
    they are rendered again. This machine's clusters and Slurm's are found by other means.
    """
    if not isinstance(spec.where, Local | Slurm) and not folder.exists():
        write(spec, folder)
    match spec.where:
        case Local() as where:
            return LocalLauncher(spec, where, folder)
        case Kubernetes() as where:
            return Kubectl(spec.name, where, folder)
        case Slurm():
            return SlurmJob(spec, folder)
        case OnPremises():
            return RayUp(folder, "export RAY_AUTH_MODE=token; " + activation(spec))
        case _:
            return RayUp(folder)


@final
class Cluster:
    """One cluster, from its spec.

    Args:
        spec: Without findings.
        folder: Of the rendered files.
        say: Takes a line for whoever waits.
    """

    def __init__(self, spec: ClusterSpec, folder: Path, say: Callable[[str], None]) -> None:
        self.spec, self._folder, self._say = spec, folder, say
        self.launcher = launcher_of(spec, folder)

    def up(self, patience_s: float) -> bool:
        """Start it unless it is there, and wait until it passes the live check.

        Returns:
            Whether it was started; False when it was up.

        Raises:
            ClusterError: When it ends again, or is not up in time; asked again, it is waited for.
            ConfigurationError: When it is up and cannot run a study, with what it lacks.
        """
        seen = self.launcher.look()
        fresh = seen.state is State.ABSENT
        if fresh:
            write(self.spec, self._folder)
            self._say(f"starting {self.spec.name} on {self.spec.where.tag}, from {self._folder}")
            self.launcher.start()
        lacks = self._await_check(time.monotonic() + patience_s)
        if lacks:
            raise ConfigurationError(
                "\n".join([f"{self.spec.name} is up and cannot run a study yet:", *lacks])
            )
        return fresh

    def look(self) -> tuple[Seen, Standing | None]:
        """What its launcher knows and, where it is up, what its head knows.

        Raises:
            ClusterError: When the head does not answer.
        """
        seen = self.launcher.look()
        return seen, self._standing() if seen.state is State.UP else None

    def down(self, even_if_jobs_run: bool) -> bool:
        """End it, and what may be left of one whose head is gone.

        Returns:
            Whether it was there.

        Raises:
            ConfigurationError: When jobs run, or nobody can tell, and that is not said to be no matter.
        """
        seen = self.launcher.look()
        there = seen.state is not State.ABSENT
        if there and not even_if_jobs_run:
            self._refuse_while_jobs_run(seen)
        if there:
            self._say(f"ending {self.spec.name}: {seen.said}")
        self.launcher.stop()
        return there

    def _refuse_while_jobs_run(self, seen: Seen) -> None:
        try:
            running = self._standing().running() if seen.state is State.UP else []
        except ClusterError as error:
            raise ConfigurationError(
                f"nobody can tell whether jobs run on {self.spec.name} ({error}); --yes ends it all the same"
            ) from error
        if running:
            raise ConfigurationError(
                f"jobs run on {self.spec.name}: {', '.join(running)}; wait for them, or end them with it: "
                "--yes. What is committed stays, and a study submitted again continues"
            )

    def _await_check(self, end: float) -> list[str]:
        said = ""
        while True:
            seen = self.launcher.look()
            if seen.state is State.ABSENT:
                raise ClusterError(f"{self.spec.name} has ended again: {seen.said or 'nobody says why'}")
            words = seen.said
            if seen.state is State.UP:
                try:
                    return self._check()
                except ClusterError as error:
                    words = str(error)
            if words != said:
                self._say(f"waiting: {words}")
                said = words
            if time.monotonic() > end:
                raise ClusterError(
                    f"{self.spec.name} is not up yet ({words}); `autotune cluster up` again waits on"
                )
            time.sleep(LOOK_S)

    def _check(self) -> list[str]:
        """What `autotune cluster check` finds on the head, which the spec is handed to."""
        text = base64.b64encode(to_yaml(self.spec).encode()).decode()
        line = f"echo {text} | base64 -d | python -m autotune cluster check /dev/stdin --json; true"
        found = _document(self.launcher.on_head(line, CHECK_S))
        return [*found["live"], *(one["problem"] for one in found["findings"] if not one["waits"])]

    def _standing(self) -> Standing:
        port = self.spec.where.dashboard_port if isinstance(self.spec.where, Local) else DASHBOARD_PORT
        line = f"python -m autotune.cluster.live.standing --dashboard http://{LOOPBACK}:{port}"
        if isinstance(self.spec.where, Local | Slurm):  # elsewhere it was brought to where Ray looks for it
            line += f" --token-file {shell_path(self.spec.authentication.token_file or TOKEN_FILE)}"
        return Standing(**_document(self.launcher.on_head(line, ASK_S)))


def write(spec: ClusterSpec, folder: Path) -> None:
    """Render a spec into a folder, over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render(spec).items():
        (folder / name).write_text(text, encoding="utf-8")


def _document(text: str) -> Mapping[str, Any]:
    """The JSON object among whatever launchers print around it."""
    try:
        found: Mapping[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        last = text.strip().rpartition("\n")[2][-200:]
        raise ClusterError(f"the head does not answer as it should: {last or 'nothing'}") from None
    return found
