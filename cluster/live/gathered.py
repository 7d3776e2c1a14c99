"""Whether all machines of a job have joined its cluster: waited for before its study begins, and told."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ray

from autotune.cluster.live.connection import connect, live_nodes, present

PATIENCE_S: Final = 120.0


def gathered(machines: int, nodes: Callable[[], Sequence[Mapping[str, Any]]], patience_s: float) -> int:
    """How many have joined: `machines`, or fewer after so many seconds."""
    end = time.monotonic() + patience_s
    while (there := present(nodes())) < machines and time.monotonic() < end:
        time.sleep(1.0)
    return there


def main(given: Sequence[str] | None = None) -> int:
    """Wait, and say who is missing; 1 when somebody is."""
    parser = argparse.ArgumentParser(prog="python -m autotune.cluster.live.gathered", description=__doc__)
    parser.add_argument("machines", type=int)
    parser.add_argument("--address", required=True, help="of the cluster, host:port")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, metavar="S", help="(%(default)s)")
    asked = parser.parse_args(given)
    connect(asked.address, {"CPU": 1.0}, None)
    try:
        there = gathered(asked.machines, live_nodes, asked.patience)
    finally:
        ray.shutdown()
    if there < asked.machines:
        print(
            f"autotune: {there} of {asked.machines} machines have joined within {asked.patience:g} s, and "
            "the study runs on these; what the others said stands above. All are paid for: end the job if "
            "that is too few",
            file=sys.stderr,
        )
    return int(there < asked.machines)


if __name__ == "__main__":
    sys.exit(main())
