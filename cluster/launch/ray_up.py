"""`ray up` on AWS, GCP, Azure and own hosts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, final

from autotune.cluster.launch.launcher import Seen, State
from autotune.cluster.launch.program import attempt, forwarding, run
from autotune.cluster.render.common import DASHBOARD_PORT
from autotune.errors import ClusterError

START_S: Final = 3600.0  # machines boot, images are pulled
ASK_S: Final = 120.0
NO_HEAD: Final = "Head node of cluster"  # not found, in Ray's words


@final
class RayUp:
    """Ray's own launcher.

    Args:
        folder: Of `cluster.yaml`.
        before: Comes before a line for the head where no container has the software.
    """

    def __init__(self, folder: Path, before: str = "") -> None:
        self._file, self._before = str(folder / "cluster.yaml"), before

    def look(self) -> Seen:
        """Up when there is a head; a cloud that does not answer is not taken for one without a head.

        Raises:
            ClusterError: When nobody can tell.
        """
        if not Path(self._file).exists():
            return Seen(State.ABSENT)
        code, said, complained = attempt(["ray", "get-head-ip", self._file], ASK_S)
        if code == 0:
            return Seen(State.UP, f"its head is {(said.split() or ['somewhere'])[-1]}")
        if NO_HEAD not in complained:
            last = (complained.strip() or "nothing").splitlines()[-1]
            raise ClusterError(f"`ray get-head-ip` ended with {code} and said: {last[:400]}")
        return Seen(State.ABSENT)

    def start(self) -> None:
        """`ray up`, which returns once the head runs."""
        run(["ray", "up", "-y", self._file], START_S)

    def stop(self) -> None:
        """`ray down`, which also ends workers that have lost their head."""
        if Path(self._file).exists():
            run(["ray", "down", "-y", self._file], START_S)

    def on_head(self, line: str, patience_s: float) -> str:
        """Over SSH, in the container where there is one."""
        return run(["ray", "exec", self._file, self._before + line], patience_s)

    def door(self) -> AbstractContextManager[str]:
        """The dashboard is on the head's loopback; SSH brings it here."""
        remote = ["--remote-port", str(DASHBOARD_PORT)]
        return forwarding(lambda port: ["ray", "dashboard", "--port", str(port), *remote, self._file], ASK_S)
