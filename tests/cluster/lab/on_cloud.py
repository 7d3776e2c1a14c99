"""Rows of the matrix with machines that Ray's own autoscaler asks for: what they cost, and what for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from autotune.log import read_commits
from autotune.study import Result

from .billing import idle_s, paid_s, wasted_s
from .cloud import HEAD_TYPE, WORKER_TYPE, FakeCloud, Machine
from .cluster import Cluster
from .drill import Drill, StudyOverError, until
from .driver import Setup
from .on_hosts import long_enough
from .reading import Fault, Notes, busy_s
from .sandbox import Sandbox

PRICES: Final = {HEAD_TYPE: 0.10, WORKER_TYPE: 1.20}  # per hour
TAKEN_S: Final = 10.0  # between the notice that a machine will be taken, and that


def scaling(folder: Path, wanted: int = 8, boot_s: float = 15.0) -> dict[str, Any]:
    """From no machine to as many as are wanted, and back."""
    with clouded(folder, wanted, boot_s) as (cluster, cloud):
        setup = Setup(trials=10 * wanted, workers=wanted, quanta=36, quantum_s=5.0, ordered=False, gpus=1)
        drill = Drill(cluster, setup, folder / "run")
        figures = drill.finish(timeout_s=1800.0, hurry=False)
        until(lambda: not cloud.living(), "all machines were given back")
        machines, found = list(cloud.machines.values()), Notes(folder / "run").look()
        idle, busy = idle_s(machines, found, boot_s), busy_s(found)
        first = sorted(m.asked_at for m in machines)[:wanted]
        return {
            **figures,
            "machines": len(machines),
            "missing_machines": max(0, wanted - len(machines)),
            "spread_s": round(first[-1] - first[0], 2),
            "busy_slot_s": round(busy),
            "idle_slot_s": {name: round(seconds) for name, seconds in idle.items()},
            "idle_share": round(sum(idle.values()) / (busy + sum(idle.values())), 3),
            "given_back_s": round(max(m.ended_at or 0.0 for m in machines) - found[-1].t, 1),
        }


def notice(folder: Path) -> dict[str, Any]:
    """SIGTERM for a machine with a running trial; the autoscaler asks for another one meanwhile."""
    return _noticed(folder, lambda drill, cloud: drill.give_notice(drill.busiest()))


def spot(folder: Path) -> dict[str, Any]:
    """The same, but all that happens is that the metadata service tells the machine; a watcher is there."""
    return _noticed(folder, lambda drill, cloud: drill.announce(drill.busiest(), cloud.told), watched=True)


def spot_heavy(folder: Path, every_s: float = 30.0, boot_s: float = 5.0) -> dict[str, Any]:
    """A machine is taken every half a minute, every third time without a notice; the study knows prices."""
    with clouded(folder, 4, boot_s, spare=1) as (cluster, cloud):
        setup = Setup(trials=60, workers=4, quanta=36, quantum_s=1.0, ordered=False, gpus=1, prices=PRICES)
        drill = Drill(cluster, setup, folder / "run")
        with suppress(StudyOverError):
            for number in count():
                began = time.monotonic()
                host = drill.busiest()
                if number % 3 < 2:
                    drill.give_notice(host)
                    cloud.take(host.name, TAKEN_S)
                else:
                    drill.kill_node(host)
                    cloud.take(host.name)
                drill.go_on(every_s - (time.monotonic() - began))
        figures = drill.finish()
        found, machines = Notes(folder / "run").look(), list(cloud.machines.values())
        busy, wasted = busy_s(found), wasted_s(found, setup.quantum_s)
        return {
            **figures,
            **_bills(folder / "run" / "study", machines),
            "wasted_share": round(wasted / (busy + wasted), 4),
        }


def _noticed(
    folder: Path,
    give: Callable[[Drill, FakeCloud], Fault],
    watched: bool = False,
    notices: int = 3,
    boot_s: float = 5.0,
) -> dict[str, Any]:
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
def clouded(
    folder: Path, most: int, boot_s: float, spare: int = 0, watched: bool = False
) -> Iterator[tuple[Cluster, FakeCloud]]:
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


def _bills(study: Path, machines: list[Machine]) -> dict[str, Any]:
    """What the study says that it cost, and what the cloud asks for the same time."""
    times = [commit.time_s for commit in read_commits(study / "log")]
    owed = Result.load(study).bill()
    assert owed is not None
    head = PRICES[HEAD_TYPE] * (times[-1] - times[0]) / 3600

    def error(begun: str) -> float:
        seconds = paid_s(machines, times[0], times[-1], attrgetter(begun))
        return round(owed.total / (head + PRICES[WORKER_TYPE] * seconds / 3600) - 1.0, 4)

    return {
        "machines": len(machines),
        "machine_s": round(paid_s(machines, times[0], times[-1])),
        "bill": round(owed.total, 5),
        "bill_error": abs(error("listed_at")),
        "bill_beyond_cloud": error("listed_at"),
        "bill_beyond_cloud_from_request": error("asked_at"),
    }


def _asked_after(cloud: FakeCloud, at: float) -> float | None:
    return next((m.asked_at for m in cloud.machines.values() if m.asked_at > at), None)
