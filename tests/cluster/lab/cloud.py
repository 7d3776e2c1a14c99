"""A small cloud: machines that are asked for, boot for a while, and are billed until they end."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import yaml

from .cluster import Cluster
from .host import Host

HEAD_TYPE = "ray.head.default"
WORKER_TYPE = "worker"
OFFERS = {"CPU": 1, "GPU": 1}  # of a machine; GPUs are numbers here
HEAD_ID = "head"
COMMANDS = ("setup", "initialization", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
LOOK_S = 1.0
SPEED = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1"}


@final
@dataclass
class Machine:
    """One machine of the cloud.

    Attributes:
        id: Its name.
        kind: Of the kinds that the autoscaler knows.
        tags: What the autoscaler wants to remember of it.
        asked_at: In seconds since 1970.
        listed_at: When the cloud first said that it is there, from which it is paid for.
        ended_at: None while it is there.
        host: None while it boots.
    """

    id: str
    kind: str
    tags: dict[str, str]
    asked_at: float = field(default_factory=time.time)
    listed_at: float | None = None
    ended_at: float | None = None
    host: Host | None = None


@final
class FakeCloud:
    """Makes hosts for Ray's own autoscaler, which reaches it through `provider.py`.

    Args:
        cluster: Not started; see `start`.
        boot_s: From the request until Ray is started on a machine.
        most: Machines at once, apart from the head.
        idle_s: After which the autoscaler gives one back.
        told: Folder of the metadata service, where there is one: then every machine has a watcher of ours.
    """

    def __init__(
        self, cluster: Cluster, boot_s: float, most: int, idle_s: float, told: Path | None = None
    ) -> None:
        self.machines: dict[str, Machine] = {}
        self.told = told
        self._cluster, self._boot_s, self._most, self._idle_s = cluster, boot_s, most, idle_s
        self._lock = threading.RLock()
        self._closed = False
        self._socket = cluster.sandbox.folder / "cloud"
        self._server = _Server(str(self._socket), _Request)
        self._server.cloud = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def start(self) -> None:
        """Start the cluster's head, whose autoscaler asks this cloud for machines of one place each."""
        path = self._cluster.sandbox.folder / "autoscaling.yaml"
        path.write_text(yaml.safe_dump(self._config()))
        identity = {"RAY_CLOUD_INSTANCE_ID": HEAD_ID, "RAY_NODE_TYPE_NAME": HEAD_TYPE}
        self._cluster.start(f"--autoscaling-config={path}", environment={**SPEED, **identity})

    def living(self) -> list[Machine]:
        """Those that were asked for and have not ended."""
        with self._lock:
            return [machine for machine in self.machines.values() if machine.ended_at is None]

    def list_all(self) -> None:
        """Whoever asks is told of all machines."""
        with self._lock:
            for machine in self.machines.values():
                machine.listed_at = machine.listed_at or time.time()

    def create(self, kind: str, tags: Mapping[str, str], count: int) -> list[str]:
        """Ask for machines; returns their names."""
        with self._lock:
            made = [Machine(f"i{len(self.machines) + n}", kind, dict(tags)) for n in range(count)]
            self.machines |= {machine.id: machine for machine in made}
        for machine in made:
            self._later(self._boot_s, self._boot, machine)
        return [machine.id for machine in made]

    def terminate(self, name: str) -> None:
        """End a machine; its bill ends, too."""
        with self._lock:
            machine = self.machines[name]
            machine.ended_at = machine.ended_at or time.time()
            if machine.host is not None:
                machine.host.kill()

    def take(self, name: str, after_s: float = 0.0) -> None:
        """The cloud wants a machine back, after a while."""
        self._later(after_s, self.terminate, name)

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Remember something about a machine."""
        with self._lock:
            self.machines[name].tags.update(tags)

    def close(self) -> None:
        """Answer no more, and begin nothing more."""
        self._closed = True
        self._server.shutdown()
        self._server.server_close()

    def _boot(self, machine: Machine) -> None:
        with self._lock:
            if machine.ended_at is None:
                identity = {"RAY_CLOUD_INSTANCE_ID": machine.id, "RAY_NODE_TYPE_NAME": machine.kind}
                machine.host = self._cluster.boot(machine.id, OFFERS["CPU"], identity, OFFERS["GPU"])
                if self.told is not None:
                    self._cluster.watch(machine.host)
                self._later(LOOK_S, self._see_to, machine)

    def _see_to(self, machine: Machine) -> None:
        """On a busy machine Ray gives up its start after 30 s; whoever starts it elsewhere tries again."""
        gave_up = self._cluster.gave_up(machine.id)
        if gave_up is None:
            self._later(LOOK_S, self._see_to, machine)
        elif gave_up:
            self._boot(machine)

    def _later(self, seconds: float, act: Callable[[Any], None], what: Any) -> None:
        def unless_closed() -> None:
            if not self._closed:
                act(what)

        timer = threading.Timer(seconds, unless_closed)
        timer.daemon = True
        timer.start()

    def _config(self) -> dict[str, Any]:
        return {
            "cluster_name": "lab",
            "max_workers": self._most,
            "upscaling_speed": 100.0,
            "idle_timeout_minutes": self._idle_s / 60.0,
            "provider": {
                "type": "external",
                "module": "tests.cluster.lab.provider.FakeCloudProvider",
                "disable_node_updaters": True,
                "socket": str(self._socket),
                "head": self._cluster.head.address,
            },
            "auth": {},
            "cluster_synced_files": [],
            "file_mounts": {},
            **{f"{step}_commands": [] for step in COMMANDS},  # there is nothing to set up
            "head_node_type": HEAD_TYPE,
            "available_node_types": {
                HEAD_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
                WORKER_TYPE: {
                    "resources": OFFERS,
                    "node_config": {},
                    "min_workers": 0,
                    "max_workers": self._most,
                },
            },
        }


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    cloud: FakeCloud


class _Request(socketserver.StreamRequestHandler):
    """One line of JSON in, one out."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        answer = self._answer(server.cloud, **json.loads(self.rfile.readline()))
        self.wfile.write((json.dumps(answer) + "\n").encode())

    @staticmethod
    def _answer(cloud: FakeCloud, op: str, **given: Any) -> Any:
        if op == "list":
            cloud.list_all()
            return {m.id: {"ip": m.host.address if m.host else "", "tags": m.tags} for m in cloud.living()}
        if op == "create":
            return cloud.create(**given)
        return {"terminate": cloud.terminate, "tag": cloud.tag}[op](**given)


def ask(socket_path: Path | str, op: str, **given: Any) -> Any:
    """What the autoscaler's side calls; see `provider.py`."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(socket_path))
        with line.makefile("rw") as file:
            file.write(json.dumps({"op": op, **given}) + "\n")
            file.flush()
            return json.loads(file.readline())
