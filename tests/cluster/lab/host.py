"""One machine: an address, processes, and the ways in which it can be lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, final

from .process import Namespaces, Process

if TYPE_CHECKING:
    from .sandbox import Sandbox

ROOT = Path(__file__).parents[3]


@final
class Host:
    """A machine of a sandbox; see `Sandbox.host`.

    Attributes:
        name: Its host name, and that of its log.
        address: In the sandbox's network.
        link: Its end of the cable, in the sandbox's network.
    """

    def __init__(self, name: str, address: str, space: Namespaces, sandbox: Sandbox) -> None:
        self.name, self.address = name, address
        self.link = f"v{address.rpartition('.')[2]}"
        self._space, self._sandbox = space, sandbox
        self._processes: list[Process] = []

    def start(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, log: str | None = None
    ) -> Process:
        """Run a command; its output goes to `<name>.log` in the sandbox's folder, or to `log` there."""
        given = {**_environment(self._sandbox.folder), **(environment or {})}
        path = self._sandbox.folder / (log or f"{self.name}.log")
        process = Process([*self._space.entering(), *command], given, path)
        self._processes.append(process)
        return process

    @property
    def alive(self) -> bool:
        """Whether it was neither killed nor switched off."""
        return self._space.alive

    def kill(self) -> float:
        """SIGKILL for all its processes at once; returns when, in seconds since 1970. Safe to call twice."""
        at = time.time()
        self._end()
        return at

    def unplug(self) -> float:
        """Take the cable out: its processes go on, and so does what they write to shared storage."""
        at = time.time()
        self._sandbox.ip("link", "set", self.link, "down")
        return at

    def power_off(self) -> float:
        """Gone without a word: nobody is told that its connections are closed."""
        at = self.unplug()
        self._end()
        return at

    def forget(self) -> None:
        """Nothing of it is left."""
        self.kill()
        self._space.forget()

    def run(self, command: Sequence[str]) -> str:
        """What a command prints that ends by itself."""
        given = _environment(self._sandbox.folder)
        done = subprocess.run(
            [*self._space.entering(), *command], env=given, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command} on {self.name}: {done.stderr or done.stdout}")
        return done.stdout

    def _end(self) -> None:
        self._space.end()
        while self._processes:
            self._processes.pop().wait(10.0)


def _environment(folder: Path) -> dict[str, str]:
    """Little of ours: what Ray is told outside must not be heard inside."""
    binaries = str(Path(sys.executable).parent)
    return {
        "PATH": f"{binaries}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
