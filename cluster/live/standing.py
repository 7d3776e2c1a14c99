"""What a cluster holds now and has held, asked on its head: `python -m autotune.cluster.live.standing`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

from autotune.cluster.live.access import Access
from autotune.cluster.live.connection import GROUP
from autotune.cluster.live.jobs import STATES, State, connect
from autotune.cluster.live.rent import LOCAL
from autotune.errors import ClusterError

PATIENCE_S: Final = 10.0


@final
@dataclass(frozen=True)
class Standing:
    """A cluster at one moment.

    Attributes:
        up: Nodes by type.
        booting: Machines by type that are there and have not joined.
        wanted: Machines by type that were asked for and are not there.
        jobs: State of every job, by its id.
        held_s: Seconds that nodes were up, the lost ones included, by type.
    """

    up: Mapping[str, int]
    booting: Mapping[str, int]
    wanted: Mapping[str, int]
    jobs: Mapping[str, str]
    held_s: Mapping[str, float]

    def running(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        return [job for job, state in self.jobs.items() if not State(state).ended]

    def bill(self, prices: Mapping[str, float]) -> tuple[float, list[str]]:
        """What nodes have cost while they were up, and the types whose price is not known.

        >>> Standing({}, {}, {}, {}, {"gpu": 7200.0, "head": 3600.0}).bill({"gpu": 1.5})
        (3.0, ['head'])
        """
        known = sum(prices[kind] * held / 3600.0 for kind, held in self.held_s.items() if kind in prices)
        return known, sorted(kind for kind in self.held_s if kind not in prices)


def held(nodes: Iterable[Mapping[str, Any]], now_s: float) -> dict[str, float]:
    """Seconds that nodes were up, by type.

    Args:
        nodes: `type`, `start_ms`, and `end_ms`, which is 0 for one that is up.
        now_s: In seconds since 1970.
    """
    total: dict[str, float] = {}
    for node in nodes:
        seconds = (node["end_ms"] / 1000.0 or now_s) - node["start_ms"] / 1000.0
        total[node["type"]] = total.get(node["type"], 0.0) + max(0.0, seconds)
    return total


def standing(control: str, access: Access) -> Standing:
    """Ask Ray's control service, its autoscaler and its dashboard.

    Args:
        control: `host:port` of the control service.
        access: To the dashboard.

    Raises:
        ClusterError: When one does not answer.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # no public way without joining
    from ray.autoscaler.v2.sdk import get_cluster_status

    jobs = {
        job.submission_id or job.job_id: state.value
        for job in connect(access).list_jobs()
        if not (state := STATES[job.status]).ended or job.submission_id  # a driver that has left is no job
    }
    try:
        nodes = [_node(info) for info in GcsClient(control).get_all_node_info(timeout=PATIENCE_S).values()]
        scaled = get_cluster_status(control)
    except Exception as error:  # of many kinds, Ray's and gRPC's
        raise ClusterError(f"Ray at {control} does not answer: {error}") from error
    return Standing(
        up=dict(Counter(node["type"] for node in nodes if node["alive"])),
        booting=dict(Counter(node.ray_node_type_name for node in scaled.pending_nodes)),
        wanted={one.ray_node_type_name: one.count for one in scaled.pending_launches},
        jobs=jobs,
        held_s=held(nodes, time.time()),
    )


def _node(info: Any) -> dict[str, Any]:
    return {
        "type": dict(info.labels).get(GROUP) or LOCAL,
        "alive": info.state == info.ALIVE,
        "start_ms": info.start_time_ms,
        "end_ms": info.end_time_ms,
    }


def main() -> int:
    """Print it as JSON."""
    from ray._private.services import canonicalize_bootstrap_address_or_die  # what `ray status` uses

    parser = argparse.ArgumentParser(prog="python -m autotune.cluster.live.standing", description=__doc__)
    parser.add_argument("--dashboard", default="http://127.0.0.1:8265", metavar="URL")
    parser.add_argument("--token-file", type=Path, metavar="FILE")
    given = parser.parse_args()
    control = canonicalize_bootstrap_address_or_die("auto")
    print(json.dumps(asdict(standing(control, Access(given.dashboard, given.token_file)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
