"""Ray on hosts of a sandbox."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import final

from autotune.cluster.render.common import HEALTH, WARM

from .host import Host
from .process import Process
from .sandbox import Sandbox

PORT = 6379
# trials that sleep need no PyTorch
LIGHT = {"RAY_preload_python_modules": "autotune.cluster.trials.trainable"}
STARTED = "Ray runtime started"
START_S = 120.0  # for a process to start, on a machine that does much else


@final
class Cluster:
    """A head that takes no trials, and workers that come and go.

    Args:
        sandbox: Where its hosts are.
        settings: Ray's own, on every node; those that we give to clusters that we start come before them.
            The driver gets none of them.
    """

    def __init__(self, sandbox: Sandbox, settings: Mapping[str, str] | None = None) -> None:
        self.sandbox = sandbox
        self.workers: dict[str, Host] = {}
        self._settings = {**HEALTH, **WARM, **LIGHT, **(settings or {})}
        self._agents: dict[str, Process] = {}  # `ray start` of each worker
        self.head = sandbox.host("head")

    def start(self, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Start the head, and wait until it answers; on another machine with its address if it was lost.

        Args:
            options: Further ones of `ray start`; by default that nobody scales it.
            environment: Settings of Ray's besides, of the head.
        """
        if not self.head.alive:
            self.head = self.sandbox.host("head", self.head.address)
        options = options or ("--no-monitor",)
        command = ["--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false", *options]
        _wait_for(self._ray_start(self.head, command, environment or {}), STARTED)

    def add(self, *names: str, slots: int = 1) -> list[Host]:
        """Start workers together, and wait until they have joined."""
        hosts = [self.boot(name, slots) for name in names]
        for name in names:
            _wait_for(self._agents[name], STARTED)
        return hosts

    def boot(
        self, name: str, slots: int, environment: Mapping[str, str] | None = None, gpus: int = 0
    ) -> Host:
        """Start a worker without waiting for it.

        Args:
            name: New in this sandbox, or one where Ray is started again.
            slots: Logical CPUs.
            environment: Settings of Ray's besides.
            gpus: That it says it has.
        """
        host = self.workers.get(name) or self.sandbox.host(name)
        command = [f"--address={self.head.address}:{PORT}", f"--num-cpus={slots}", f"--num-gpus={gpus}"]
        self._agents[name] = self._ray_start(host, command, environment or {})
        self.workers[name] = host
        return host

    def watch(self, host: Host) -> Process:
        """Start what waits for the cloud's notice, as the rendered start commands do."""
        command = [sys.executable, "-m", "autotune.cluster.spot", "aws"]
        given = [f"--address={self.head.address}:{PORT}"]
        return host.start([*command, *given], self._settings, f"{host.name}-spot.log")

    def gave_up(self, name: str) -> bool | None:
        """Whether Ray's start on a worker has failed; None while nobody knows."""
        agent = self._agents[name]
        if STARTED in agent.output():
            return False
        return None if agent.running else True

    def agent(self, host: Host) -> Process:
        """The `ray start` of a worker, which takes the SIGTERM of a machine that is being shut down."""
        return self._agents[host.name]

    def drive(self, folder: Path, on: Host) -> Process:
        """Start the study's driver, see `driver.py`; it names the cluster, which asks for no token."""
        address = f"{self.head.address}:{PORT}"
        command = [sys.executable, "-m", "tests.cluster.lab.driver", str(folder), address]
        return on.start(command, log="driver.log")

    def _ray_start(self, host: Host, options: list[str], environment: Mapping[str, str]) -> Process:
        command = ["ray", "start", f"--node-ip-address={host.address}", "--object-store-memory=80000000"]
        given = {**self._settings, **environment}
        return host.start([*command, *options, "--disable-usage-stats", "--block"], given)


def _wait_for(process: Process, text: str) -> None:
    end = time.monotonic() + START_S
    while text not in process.output():
        if not process.running or time.monotonic() > end:
            raise RuntimeError(f"{process.log} never said {text!r}: {process.tail()}")
        time.sleep(0.05)
