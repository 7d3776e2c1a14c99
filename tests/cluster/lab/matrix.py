"""The matrix of faults: what is done to a study in each row, and the bars that its figures must reach."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from .cloud import FakeCloud
from .cluster import Cluster
from .drill import Drill, StudyOverError, until
from .driver import Setup
from .reading import Fault, Notes, busy_s
from .sandbox import Sandbox

Figures: TypeAlias = dict[str, Any]

WHOLE: Final[Mapping[str, float]] = {  # of every row: nothing is lost, and nothing decided differently
    "trials_lost": 0,
    "saved_quanta_repeated": 0,
    "excess_quanta": 0,
    "different_decisions": 0,
}
ANY_ORDER: Final = {name: limit for name, limit in WHOLE.items() if name != "different_decisions"}
CYCLE_S: Final = 25.0  # that a study goes on in from one fault to the next
SOAK_S: Final = 8.0  # the same where nobody waits for another host to boot
PAUSE_S: Final = 2.0  # at most, before the next fault: it may fall anywhere in a quantum
TRIAL_S: Final = 4.0  # about 9 quanta of half a second each, by two workers that wait for each other


@final
@dataclass(frozen=True)
class Row:
    """One kind of fault, as often as the long form wants it.

    Attributes:
        run: Given an empty folder; returns figures.
        bars: The largest that each figure may be.
        faults: At least so many.
        needs: A program that must be there.
    """

    run: Callable[[Path], Figures]
    bars: Mapping[str, float]
    faults: int = 1
    needs: str | None = None

    def misses(self, figures: Figures) -> list[str]:
        """Which figures are beyond their bars."""
        beyond = [name for name, limit in self.bars.items() if not figures[name] <= limit]
        return beyond + (["faults"] if figures["faults"] < self.faults else [])


@contextmanager
def started(folder: Path, *workers: str, slots: int = 2):
    """A cluster in a sandbox of its own."""
    with Sandbox(folder) as sandbox:
        cluster = Cluster(sandbox)
        cluster.start()
        cluster.add(*workers, slots=slots)
        yield cluster


def nodes(folder: Path, kills: int = 12) -> Figures:
    """SIGKILL for a host with a running trial, while another one has room."""
    return _hosts(folder, kills, Drill.kill_node)


def power(folder: Path, kills: int = 4) -> Figures:
    """The same by taking its power."""
    return _hosts(folder, kills, Drill.power_off)


def drivers(folder: Path, kills: int = 6) -> Figures:
    """SIGKILL for the driver; another one is started at once."""
    with started(folder, "w1") as cluster:
        drill = Drill(cluster, long_enough(kills), folder / "run")
        for number in range(kills):
            drill.await_steps()
            time.sleep(number % 4 * PAUSE_S / 3)
            drill.recover(drill.kill_driver())
        return drill.finish()


def soak(folder: Path, kills: int = 54, seed: int = 0) -> Figures:
    """Worker, node and driver in random order, over one study."""
    chance = random.Random(seed)
    with started(folder, "w1", "w2", "w3") as cluster:
        drill = Drill(cluster, long_enough(kills, SOAK_S), folder / "run")
        for number in range(kills):
            kind = chance.choice(("worker", "node", "driver"))
            time.sleep(chance.uniform(0.0, PAUSE_S))
            try:
                steps = drill.await_steps()
                if kind == "worker":
                    fault = drill.kill_worker(chance.choice(list(steps.values())))
                elif kind == "driver":
                    fault = drill.kill_driver()
                else:
                    fault = drill.kill_node(drill.busiest())
                    cluster.boot(f"s{number}", slots=2)
                drill.recover(fault)
            except StudyOverError:
                break
        return drill.finish()


def rocks(folder: Path) -> Figures:
    """SIGKILL for the head, whose tables are in RocksDB on storage that outlives it."""
    with Sandbox(folder) as sandbox:
        (folder / "gcs").mkdir()
        return _heads(sandbox, {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "gcs")})


def redis(folder: Path) -> Figures:
    """The same with its tables in a Redis on another host."""
    with Sandbox(folder) as sandbox:
        store = sandbox.host("store")
        open_to_hosts = ("--bind", store.address, "--protected-mode", "no", "--save", "")
        store.start([str(shutil.which("redis-server")), "--port", "6379", *open_to_hosts])
        return _heads(sandbox, {"RAY_REDIS_ADDRESS": f"{store.address}:6379"})


def _heads(
    sandbox: Sandbox, stored: Mapping[str, str], downs: tuple[float, ...] = (0.0, 20.0, 60.0)
) -> Figures:
    """Neither trials nor the driver are on the head."""

    def start() -> None:
        for _ in range(3):  # as whatever watches over a head would; on a busy machine Ray gives up after 30 s
            try:
                return cluster.start(environment=stored)
            except RuntimeError:
                cluster.head.kill()
        raise RuntimeError("the head did not come back")

    cluster = Cluster(sandbox, {"RAY_gcs_rpc_server_reconnect_timeout_s": "180"})
    start()
    (seat,) = cluster.add("d", slots=0)
    cluster.add("w1", "w2", slots=2)
    drill = Drill(cluster, long_enough(2 * len(downs)), sandbox.folder / "run", seat)
    for down_s in downs:
        drill.await_steps()
        drill.lose_head(down_s, start)
    return drill.finish()


def scaling(folder: Path, wanted: int = 8, boot_s: float = 15.0) -> Figures:
    """Ray's own autoscaler on a cloud whose machines take a while to boot: from nothing, and back to it."""
    with clouded(folder, wanted, boot_s) as (cluster, cloud):
        setup = Setup(trials=10 * wanted, workers=wanted, quanta=36, quantum_s=2.0, ordered=False)
        drill = Drill(cluster, setup, folder / "run")
        figures = drill.finish(timeout_s=900.0, hurry=False)
        ended = time.time()
        until(lambda: not cloud.living(), "all machines were given back")
        machines = list(cloud.machines.values())
        billed = sum((m.ended_at or 0.0) - m.asked_at - boot_s for m in machines)
        busy = busy_s(Notes(folder / "run").look())
        first = sorted(m.asked_at for m in machines)[:wanted]
        return {
            **figures,
            "machines": len(machines),
            "missing_machines": max(0, wanted - len(machines)),
            "spread_s": round(first[-1] - first[0], 2),
            "slot_s": round(billed),
            "idle_share": round(1.0 - busy / billed, 3),
            "given_back_s": round(max(m.ended_at or 0.0 for m in machines) - ended, 1),
        }


def notice(folder: Path) -> Figures:
    """SIGTERM for a machine with a running trial; the autoscaler asks for another one meanwhile."""
    return _noticed(folder, lambda drill, cloud: drill.give_notice(drill.busiest()))


def spot(folder: Path) -> Figures:
    """The same, but all that happens is that the metadata service tells the machine; a watcher is there."""
    return _noticed(folder, lambda drill, cloud: drill.announce(drill.busiest(), cloud.told), watched=True)


def _noticed(
    folder: Path,
    give: Callable[[Drill, FakeCloud], Fault],
    watched: bool = False,
    notices: int = 3,
    boot_s: float = 5.0,
) -> Figures:
    with clouded(folder, 2, boot_s, spare=1, watched=watched) as (cluster, cloud):
        drill = Drill(cluster, replace(long_enough(4 * notices), ordered=False), folder / "run")
        replaced: list[float] = []
        for _ in range(notices):
            until(lambda: len(drill.await_steps()) == 2, "both machines had a trial")
            fault = give(drill, cloud)
            asked = until(partial(_asked_after, cloud, fault.at), "another machine was asked for")
            replaced.append(asked - fault.at)
            drill.recover(fault)
        figures = drill.finish()
        return {
            **figures,
            "replaced_s": round(max(replaced), 2),
            "wasted_quanta": figures["quanta_begun_again"],
        }


@contextmanager
def clouded(folder: Path, most: int, boot_s: float, spare: int = 0, watched: bool = False):
    """A head with an autoscaler and a cloud, and no machine yet."""
    with Sandbox(folder) as sandbox:
        cluster = Cluster(sandbox)
        told = sandbox.serve_metadata() if watched else None
        cloud = FakeCloud(cluster, boot_s, most + spare, idle_s=5.0, told=told)
        try:
            cloud.start()
            yield cluster, cloud
        finally:
            cloud.close()


def _asked_after(cloud: FakeCloud, at: float) -> float | None:
    return next((m.asked_at for m in cloud.machines.values() if m.asked_at > at), None)


def _hosts(folder: Path, kills: int, strike: Callable[[Drill, Any], Any]) -> Figures:
    with started(folder, "w1", "w2") as cluster:
        drill = Drill(cluster, long_enough(kills), folder / "run")
        for number in range(kills):
            drill.recover(strike(drill, drill.busiest()))
            cluster.add(f"n{number}", slots=2)
        return drill.finish()


def long_enough(kills: int, cycle_s: float = CYCLE_S) -> Setup:
    """A study that is not over before so many faults; after the last one it is hurried to its end."""
    return Setup(trials=math.ceil(kills * cycle_s / TRIAL_S), quanta=36)


MATRIX: Final[Mapping[str, Row]] = {
    "node": Row(nodes, {**WHOLE, "p95_s": 6.0}, 12),
    "power": Row(power, {**WHOLE, "p95_s": 20.0}, 4),
    "driver": Row(drivers, WHOLE, 6),
    "head": Row(rocks, {**WHOLE, "p95_s": 15.0}, 3),
    "head_redis": Row(redis, {**WHOLE, "p95_s": 15.0}, 3, needs="redis-server"),
    "scaling": Row(scaling, {**ANY_ORDER, "spread_s": 2.0, "missing_machines": 0, "idle_share": 0.10}, 0),
    "notice": Row(notice, {**ANY_ORDER, "wasted_quanta": 3, "replaced_s": 2.0}, 3),
    "spot": Row(spot, {**ANY_ORDER, "wasted_quanta": 3, "replaced_s": 2.0}, 3),
    "soak": Row(soak, WHOLE, 50),
}
