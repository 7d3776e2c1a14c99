"""A cluster of this machine alone, in a session of its own: what is ended is what we have started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, final

from autotune.cluster.description.places import Local
from autotune.cluster.description.spec import TOKEN_FILE, ClusterSpec
from autotune.cluster.launch.launcher import Seen, State
from autotune.cluster.launch.processes import Process, boot, end, family
from autotune.cluster.launch.program import find, listening, run
from autotune.cluster.render.common import LOOPBACK
from autotune.cluster.render.scripts import LOOPBACK_ONLY
from autotune.errors import ConfigurationError

MEMORY: Final = "local.json"  # which processes are ours
LOG: Final = "local.log"
LEAVE_S: Final = 20.0
LATEST: Final = "ray_current_cluster"  # Ray's note of where it was started last


@final
class LocalLauncher:
    """Runs `start.sh` and remembers its process.

    Args:
        spec: Of the cluster.
        where: Its ports.
        folder: Of `start.sh`; gets its log, and what is remembered.
    """

    def __init__(self, spec: ClusterSpec, where: Local, folder: Path) -> None:
        self._where, self._folder = where, folder
        self._token = str(Path(spec.authentication.token_file or TOKEN_FILE).expanduser())

    def look(self) -> Seen:
        """Up from the moment that its dashboard listens."""
        ours = self._ours()
        if not ours:
            return Seen(State.ABSENT, self._tail())
        state = State.UP if listening(self._where.dashboard_port) else State.STARTING
        return Seen(state, f"{len(ours)} processes")

    def start(self) -> None:
        """Start it, apart from this process."""
        for port in self._where.ports:
            if listening(port):
                raise ConfigurationError(
                    f"port {port} of this machine is in use; end what uses it, or choose another port and "
                    "dashboard_port below where.local"
                )
        log = os.open(self._folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            begun = subprocess.Popen(
                [find("bash"), str(self._folder / "start.sh")],
                env={**os.environ, "PATH": _path()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        begun.returncode = 0  # it outlives us, and nobody waits for it
        process = Process.of(begun.pid)
        remembered = {"pid": begun.pid, "began": process.began if process else 0, "boot": boot()}
        (self._folder / MEMORY).write_text(json.dumps(remembered))

    def stop(self) -> None:
        """Ask it to end, and end what has not."""
        ours = self._ours()
        for one in ours:
            if one.pid == one.session:  # `ray start --block` gives its processes time to leave
                one.signal(signal.SIGTERM)
        end([one for one in ours if one.pid == one.session], LEAVE_S)
        end([*ours, *self._ours()], 1.0)
        (self._folder / MEMORY).unlink(missing_ok=True)
        latest = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", LATEST)
        with suppress(OSError):  # or the next `ray.init()` on this machine would look for it
            if latest.read_text().strip() == f"{LOOPBACK}:{self._where.port}":
                latest.unlink()

    def on_head(self, line: str, patience_s: float) -> str:
        """This machine is the head."""
        known = {
            **LOOPBACK_ONLY,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": self._token,
            "RAY_ADDRESS": f"{LOOPBACK}:{self._where.port}",
            "PATH": _path(),
        }
        return run(["bash", "-c", line], patience_s, known)

    @contextmanager
    def door(self) -> Iterator[str]:
        """It is on loopback already."""
        yield f"http://{LOOPBACK}:{self._where.dashboard_port}"

    def _ours(self) -> list[Process]:
        try:
            known = json.loads((self._folder / MEMORY).read_text())
        except (OSError, ValueError):
            return []
        return family(known["pid"], known["began"]) if known["boot"] == boot() else []

    def _tail(self) -> str:
        """The last words of one that has ended by itself."""
        if not (self._folder / MEMORY).exists():
            return ""
        return (self._folder / LOG).read_text(errors="replace").strip().rpartition("\n")[2][-400:]


def _path() -> str:
    """Where programs are looked for: first beside this Python, whose environment need not be active."""
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
