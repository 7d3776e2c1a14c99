"""A command inside namespaces, seen from outside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

INIT = Path(__file__).with_name("init.py")
ENDING = ("--fork", "--kill-child", "--mount-proc")
PYTHON = (sys.executable, "-I", "-S")  # `init.py` needs the standard library only


def inner(pid: int, timeout_s: float = 10.0) -> int:
    """The child of a process that has one: what `nsenter` or `unshare` has forked, by its number out here."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.005)
    raise RuntimeError(f"process {pid} has started nothing within {timeout_s} s")


@final
class Process:
    """A running command, whose output goes to a file.

    Args:
        command: With `nsenter` or `unshare` before it, which fork it.
        environment: The whole of it.
        log: Where its output goes.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._from = log.stat().st_size if log.exists() else 0  # others may have written to it
        with log.open("ab") as output:
            self._outer = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = inner(self._outer.pid)

    def signal(self, number: int) -> None:
        """Send a signal to the command itself."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.running:
            self.signal(signal.SIGKILL)
        self.wait(10.0)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._outer.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Its exit status; below 0 the signal that ended it.

        Raises:
            TimeoutError: With the end of its output.
        """
        try:
            return self._outer.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{self.log} after {timeout_s} s: {self.tail()}") from error

    def output(self) -> str:
        """What it has said so far."""
        return self.log.read_bytes()[self._from :].decode(errors="replace")

    def tail(self) -> str:
        """The end of that."""
        return self.output()[-2000:]


@final
class Namespaces:
    """Private namespaces with a first process, on whose life that of everything in them depends.

    Args:
        name: Its host name.
        address: What that name stands for inside.
        within: Comes before the command that makes them (`nsenter` into others), or nothing.
    """

    def __init__(self, name: str, address: str, within: Sequence[str] = ()) -> None:
        self._network: int | None = None
        kinds = ("--mount", "--net", "--pid", "--ipc", "--uts")
        self._outer = subprocess.Popen(
            [*within, "unshare", *kinds, *ENDING, *PYTHON, str(INIT), name, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # `missing` has told why there can be none
            text=True,
            start_new_session=True,
        )
        assert self._outer.stdout is not None
        if self._outer.stdout.readline() != "ready\n":
            raise RuntimeError(f"no namespaces for {name}: status {self._outer.wait(10)}")
        self.pid = inner(inner(self._outer.pid)) if within else inner(self._outer.pid)

    def entering(self, *kinds: str) -> list[str]:
        """What comes before a command that runs inside; all namespaces when none is named."""
        return ["nsenter", "--target", str(self.pid), *(kinds or ("-m", "-n", "-p", "-i", "-u")), "--"]

    @property
    def alive(self) -> bool:
        """Whether they are still there."""
        return self._outer.poll() is None

    def end(self) -> None:
        """SIGKILL for everything inside, at once; safe to call twice.

        Their network outlives them until `forget`, and says to others that the connections are closed, as the
        kernel of a machine does whose processes were killed.
        """
        if self.alive:
            self._network = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
            os.kill(self.pid, signal.SIGKILL)
            self._outer.wait(30.0)
        for pipe in (self._outer.stdin, self._outer.stdout):
            if pipe is not None:
                pipe.close()

    def forget(self) -> None:
        """Let go of the network; safe to call twice."""
        if self._network is not None:
            os.close(self._network)
            self._network = None
