"""Rows of the matrix on hosts that are there from the start: what is taken from a study, and its figures."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from autotune.cluster.render.common import RECONNECT, RECONNECT_S

from .cluster import Cluster
from .drill import Drill, StudyOverError, until
from .driver import Setup
from .host import Host
from .sandbox import Sandbox

CYCLE_S: Final = 45.0  # that a study goes on in from one fault to the next
SETTLE_S: Final = 20.0  # in which a new node makes its processes ready, on a machine that does much else
SOAK_S: Final = 10.0  # the same where nobody waits for another host to boot
PAUSE_S: Final = 2.0  # at most, before the next fault: it may fall anywhere in a quantum
TRIAL_S: Final = 4.0  # about 9 quanta of half a second each, by two workers that wait for each other
DOWNS_S: Final = (0.0, 20.0, 60.0)  # without a head
HEADLESS: Final = Setup(trials=24, quanta=36)  # takes longer than that
COUNTED: Final = (
    *("faults", "trials", "trials_lost", "interruptions", "quanta", "trials_hit", "saved_quanta_repeated"),
    *("quanta_begun_again", "excess_quanta", "decisions_replayed", "different_decisions"),
)


def nodes(folder: Path, kills: int = 12) -> dict[str, Any]:
    """SIGKILL for a host with a running trial, while another one has room."""
    return _hosts(folder, kills, Drill.kill_node)


def power(folder: Path, kills: int = 4) -> dict[str, Any]:
    """The same by taking its power."""
    return _hosts(folder, kills, Drill.power_off)


def drivers(folder: Path, kills: int = 6) -> dict[str, Any]:
    """SIGKILL for the driver; another one is started at once."""
    with started(folder, "w1") as cluster:
        drill = Drill(cluster, long_enough(kills), folder / "run")
        for number in range(kills):
            drill.await_steps()
            time.sleep(number % 4 * PAUSE_S / 3)
            drill.recover(drill.kill_driver())
        return drill.finish()


def soak(folder: Path, kills: int = 54, seed: int = 0) -> dict[str, Any]:
    """Worker, node, driver and head in random order, over one study."""
    chance = random.Random(seed)
    with Sandbox(folder) as sandbox:
        cluster, restart = _outlasting(sandbox, _rocks_in(folder))
        (seat,) = cluster.add("d", slots=0)
        cluster.add("w1", "w2", "w3", slots=2)
        drill = Drill(cluster, long_enough(kills, SOAK_S), folder / "run", seat)
        for number in range(kills):
            kind = chance.choice(("worker", "node", "driver", "head"))
            time.sleep(chance.uniform(0.0, PAUSE_S))
            try:
                steps = drill.await_steps()
                if kind == "worker":
                    fault = drill.kill_worker(chance.choice(list(steps.values())))
                elif kind == "driver":
                    fault = drill.kill_driver()
                elif kind == "head":
                    fault = drill.lose_head(0.0, restart)
                else:
                    fault = drill.kill_node(drill.busiest())
                    cluster.boot(f"s{number}", slots=2)
                drill.recover(fault)
            except StudyOverError:
                break
        kinds = Counter(fault.kind for fault in drill.faults)
        return {**drill.finish(), "kinds": dict(kinds), "missing_kinds": 4 - len(kinds)}


def rocks(folder: Path) -> dict[str, Any]:
    """SIGKILL for the head, whose tables are in RocksDB on storage that outlives it."""
    with Sandbox(folder) as sandbox:
        return _heads(sandbox, _rocks_in(folder))


def redis(folder: Path) -> dict[str, Any]:
    """The same with its tables in a Redis on another host."""
    with Sandbox(folder) as sandbox:
        store = sandbox.host("store")
        open_to_hosts = ("--bind", store.address, "--protected-mode", "no", "--save", "")
        store.start([str(shutil.which("redis-server")), "--port", "6379", *open_to_hosts])
        return _heads(sandbox, {"RAY_REDIS_ADDRESS": f"{store.address}:6379"})


def _rocks_in(folder: Path) -> dict[str, str]:
    """Settings of a head whose tables are in RocksDB."""
    (folder / "gcs").mkdir()
    return {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "gcs")}


def _outlasting(sandbox: Sandbox, stored: Mapping[str, str]) -> tuple[Cluster, Callable[[], None]]:
    """A cluster whose tables outlive its head, without workers yet; and what starts its head again."""

    def start() -> None:
        for _ in range(3):  # as whatever watches over a head would; on a busy machine Ray gives up after 30 s
            try:
                return cluster.start(environment=stored)
            except RuntimeError:
                cluster.head.kill()
        raise RuntimeError("the head did not come back")

    cluster = Cluster(sandbox, {f"RAY_{RECONNECT}": str(RECONNECT_S)})
    start()
    return cluster, start


def _heads(sandbox: Sandbox, stored: Mapping[str, str]) -> dict[str, Any]:
    """The same study undisturbed, and without a head for a while; neither trials nor the driver are on it."""

    def study(down_s: float | None, seat: Host) -> dict[str, Any]:
        drill = Drill(cluster, HEADLESS, sandbox.folder / f"down-{down_s}", seat)
        until(lambda: len(drill.await_steps()) == HEADLESS.workers, "all trials stepped")
        if down_s is not None:
            drill.lose_head(down_s, restart)
        return drill.finish(hurry=False)

    cluster, restart = _outlasting(sandbox, stored)
    (seat,) = cluster.add("d", slots=0)
    cluster.add("w1", "w2", slots=2)
    calm, *lost = [study(down_s, seat) for down_s in (None, *DOWNS_S)]
    late = [round(one["stepped_s"] - calm["stepped_s"], 1) for one in lost]
    return {
        **together(lost),
        "undisturbed_s": calm["stepped_s"],
        "late_s": dict(zip(map(str, DOWNS_S), late, strict=True)),  # by the seconds without a head
        "late_beyond_downtime_s": round(max(s - down for s, down in zip(late, DOWNS_S, strict=True)), 1),
    }


def together(studies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of several studies added up."""
    return {name: sum(one[name] for one in studies) for name in COUNTED}


def _hosts(folder: Path, kills: int, strike: Callable[[Drill, Any], Any]) -> dict[str, Any]:
    with started(folder, "w1", "w2") as cluster:
        drill = Drill(cluster, long_enough(kills), folder / "run")
        for number in range(kills):
            drill.recover(strike(drill, drill.busiest()))
            cluster.add(f"n{number}", slots=2)
            drill.go_on(SETTLE_S)
        return drill.finish()


@contextmanager
def started(folder: Path, *workers: str, slots: int = 2) -> Iterator[Cluster]:
    """A cluster in a sandbox of its own."""
    with Sandbox(folder) as sandbox:
        cluster = Cluster(sandbox)
        cluster.start()
        cluster.add(*workers, slots=slots)
        yield cluster


def long_enough(kills: int, cycle_s: float = CYCLE_S) -> Setup:
    """A study that is not over before so many faults; after the last one it is hurried to its end."""
    return Setup(trials=math.ceil(kills * cycle_s / TRIAL_S), quanta=36)
