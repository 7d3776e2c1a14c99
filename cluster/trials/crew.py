"""The processes of a trial on Ray: one leads, which is Tune's actor, and has the others started beside it."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, final

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util import get_current_placement_group, get_node_ip_address
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from autotune.cluster.live.connection import switches
from autotune.cluster.live.draining import notice
from autotune.cluster.trials.sharing import keep_to_cores, keep_within_share
from autotune.errors import RankLostError
from autotune.work import Assignment, Beat, Worker, Workload

_PATIENCE: Final = timedelta(days=1)  # of an exchange: the leader's watchdog, and Ray, know sooner
_VERDICT_S: Final = 30.0  # within which Ray knows whether a process died alone or with its machine
_LOOK_S: Final = 0.2
_START_S: Final = 1800.0  # within which all of them have a worker: images are pulled, data is mapped
_JOIN_S: Final = 120.0  # within which all processes of a trial have met, once they run
_KEY_BYTES: Final = 32
_ADDRESS_OF_INTERFACE: Final = 0x8915  # SIOCGIFADDR


@final
class Crew:
    """The other processes of the leader's trial. They end with it, for Ray ends what a dead actor owns.

    Args:
        size: Of the whole group; the leader is in its placement group, which has as many bundles.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._busy: list[Any] = []
        self._joined = False
        group = get_current_placement_group()
        if group is None:
            raise RuntimeError("a trial of several processes needs a placement group; Tune makes it")
        self._ranks: list[Any] = [
            ray.remote(Rank)
            .options(
                **_options(group.bundle_specs[rank]),
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank),
            )
            .remote(rank, size)
            for rank in range(1, size)
        ]

    def join(self, workload: bytes, bulk: Any, beat: Beat) -> bytes:
        """Meet them, when each has made a worker.

        Args:
            workload: Pickled.
            bulk: Its arrays, in Ray's object store.
            beat: Called while they start.

        Returns:
            The key with which all sign what they send each other; it travels through Ray, by its token.

        Raises:
            RankLostError: When one of them does not come.
            Exception: What one of them could not begin for.
        """
        key, end = secrets.token_bytes(_KEY_BYTES), time.monotonic() + _START_S
        try:
            self._busy = [rank.prepare.remote(str(Path.cwd()), workload, bulk) for rank in self._ranks]
            while ray.wait(self._busy, num_returns=len(self._busy), timeout=_LOOK_S)[1]:
                beat()
                if time.monotonic() > end:
                    raise RankLostError(f"another process of the trial did not begin in {_START_S:g} s")
            ray.get(self._busy)
            address, listening = _listen()
            self._busy = [rank.join.remote(address, key) for rank in self._ranks]
            meet(0, self._size, address, listening)
            ray.get(self._busy)
        except RayActorError as error:
            raise RankLostError("another process of the trial is gone") from error
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        self._joined = True
        return key

    def dismiss(self) -> None:
        """End the others."""
        for rank in self._ranks:
            ray.kill(rank)

    def begin(self, assignment: Assignment) -> None:
        """Let the others advance it, too."""
        self._busy = [rank.advance.remote(assignment) for rank in self._ranks]

    def lost(self) -> str | None:
        """Why one of them is gone; None while all are there."""
        for answer in ray.wait(self._busy, num_returns=len(self._busy), timeout=0)[0] if self._busy else ():
            try:
                ray.get(answer)
            except ActorUnavailableError:
                continue  # not known yet
            except RayError as error:  # it has lost another one
                if isinstance(error, RayTaskError) and not self._joined:
                    continue  # it could not begin, which `join` tells
                return self.verdict()
        return None

    def verdict(self) -> str:
        """Why one of them is gone, which Ray may not know yet."""
        end = time.monotonic() + _VERDICT_S
        while time.monotonic() < end:
            for answer in self._busy:
                try:
                    ray.get(answer, timeout=_LOOK_S)
                except (GetTimeoutError, ActorUnavailableError):
                    continue  # not known yet
                except RayActorError as error:
                    return str(error)
                except RayError:
                    continue  # one that has lost another, too
            time.sleep(_LOOK_S)
        return "and Ray does not know why"


class Rank:
    """An actor that advances whatever the leader does, in step with it.

    Args:
        rank: Its number, from 1.
        size: Of the group.
    """

    def __init__(self, rank: int, size: int) -> None:
        self._rank, self._size = rank, size
        self._leaving = notice()
        self._worker: Worker | None = None

    def prepare(self, folder: str, workload: bytes, bulk: Mapping[str, Any]) -> None:
        """Make a worker, in the leader's folder where there is one of that name."""
        with suppress(OSError):
            os.chdir(folder)
        keep_within_share()
        keep_to_cores()
        made: Workload = ray.cloudpickle.loads(workload)
        self._worker = made.worker(bulk)

    def join(self, address: str, key: bytes) -> None:
        """Meet the others, who have the same key."""
        meet(self._rank, self._size, address)
        self._made().join(key)

    def advance(self, assignment: Assignment) -> None:
        """Advance it; only the leader answers, unless this process has lost the others."""
        self._made().advance(assignment, self._leaving.is_set)

    def _made(self) -> Worker:
        if self._worker is None:
            raise RuntimeError("prepare comes first")
        return self._worker


def meet(rank: int, size: int, address: str, listening: int | None = None) -> None:
    """Form torch's default process group: gloo between CPUs, NCCL between GPUs.

    Args:
        rank: Of this process.
        size: Of the group.
        address: `host:port` of the leader.
        listening: The leader's socket there; None for the others.

    Raises:
        RankLostError: When the others do not come.
    """
    import torch  # slow, and needed by trials of several processes only
    import torch.distributed as dist

    host, _, port = address.rpartition(":")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]  # torch's own, and public
            host, int(port), size, rank == 0, timedelta(seconds=_JOIN_S), master_listen_fd=listening
        )
        with switches(_interface(_here())):
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    except RuntimeError as error:
        raise RankLostError(
            f"the processes of the trial did not find each other at {address}: {error}"
        ) from error


def _here() -> str:
    """The address by which Ray reaches this machine."""
    return str(get_node_ip_address())  # type: ignore[no-untyped-call]  # Ray's own


def _listen() -> tuple[str, int]:
    """Where the others find the leader: a socket on that address, and on no other."""
    listening = socket.create_server((_here(), 0))
    host, port = listening.getsockname()
    return f"{host}:{port}", listening.detach()


def _interface(address: str) -> dict[str, str]:
    """The switch, which has no argument, by which gloo listens on the interface of an address only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            asked = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(any_socket, _ADDRESS_OF_INTERFACE, asked)
            except OSError:  # it has none
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return {"GLOO_SOCKET_IFNAME": name}
    return {}


def _options(bundle: Mapping[str, float]) -> dict[str, Any]:
    """Resources of a bundle, as Ray wants them named for an actor."""
    named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    options: dict[str, Any] = {"num_cpus": 0} | {
        named[name]: n for name, n in bundle.items() if name in named
    }
    return options | {"resources": {name: n for name, n in bundle.items() if name not in named}}
