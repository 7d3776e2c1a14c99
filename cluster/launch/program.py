"""Launchers are programs: found, run, and understood where they fail."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from autotune.errors import ClusterError, ConfigurationError

INSTALL: Final[Mapping[str, str]] = {
    "ray": "install Ray here, in the version of the spec: pip install 'ray[default]'",
    "kubectl": "install it from https://kubernetes.io/docs/tasks/tools and choose a context",
    "sbatch": "run this on a login node of the Slurm cluster",
    "squeue": "run this on a login node of the Slurm cluster",
    "scancel": "run this on a login node of the Slurm cluster",
    "srun": "run this on a login node of the Slurm cluster",
    "bash": "install it",
}
PATIENCE_S: Final = 60.0


def run(
    command: Sequence[str], patience_s: float = PATIENCE_S, environment: Mapping[str, str] | None = None
) -> str:
    """What a program prints.

    Args:
        command: Its name and arguments.
        patience_s: Seconds that it has.
        environment: Variables besides this process's own.

    Raises:
        ConfigurationError: When it is not installed.
        ClusterError: When it fails or takes longer; with the end of what it said.
    """
    code, said, complained = attempt(command, patience_s, environment)
    if code != 0:
        last = (complained.strip() or said.strip() or "nothing").splitlines()[-1]
        raise ClusterError(f"`{' '.join(command[:2])}` ended with {code} and said: {last[:400]}")
    return said


def attempt(
    command: Sequence[str], patience_s: float = PATIENCE_S, environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """The same where failing is an answer: exit code, standard output, standard error."""
    program = subprocess.Popen(
        [find(command[0]), *command[1:]],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that what it has started ends with it
    )
    try:
        said, complained = program.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"`{' '.join(command[:2])}` has not ended within {patience_s:g} s") from None
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
    return program.returncode, said, complained


def find(name: str) -> str:
    """Where a program is: on the path, else beside this Python.

    Raises:
        ConfigurationError: When it is nowhere; says what to install.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        raise ConfigurationError(f"there is no {name!r} on this machine; {INSTALL[name]}")
    return found


@contextmanager
def forwarding(command: Callable[[int], Sequence[str]], patience_s: float = PATIENCE_S) -> Iterator[str]:
    """Run a program that brings a port of the cluster to loopback, for as long as that is needed.

    The port here is one that nobody has: what listens at a usual one may be another cluster's, or another
    user's, and is shown no token of ours.

    Args:
        command: The program and its arguments, given the port here.
        patience_s: Seconds that it has.

    Raises:
        ClusterError: When it does not listen there in time.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = command(port)
    with subprocess.Popen(
        [find(words[0]), *words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that the ssh that it has started ends with it
    ) as program:
        try:
            end = time.monotonic() + patience_s
            while not listening(port):
                if program.poll() is not None or time.monotonic() > end:
                    raise ClusterError(
                        f"`{' '.join(words[:2])}` has not brought the dashboard here; is the cluster up?"
                    )
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGTERM)


def listening(port: int) -> bool:
    """Whether somebody listens on loopback."""
    with socket.socket() as door:
        door.settimeout(1.0)
        return door.connect_ex(("127.0.0.1", port)) == 0
