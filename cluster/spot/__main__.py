"""Runs beside a node of Ray's and ends with it; the start commands of clusters with spot groups have it.

python -m autotune.cluster.spot aws --address HEAD:6379
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from autotune.cluster.spot.aws import AWS
from autotune.cluster.spot.azure import Azure
from autotune.cluster.spot.gcp import GCP
from autotune.cluster.spot.node import Node
from autotune.cluster.spot.notice import METADATA, Service
from autotune.cluster.spot.watch import watch

CLOUDS: Final[Mapping[str, Callable[[str], Service]]] = {"aws": AWS, "gcp": GCP, "azure": Azure}
START_S: Final = 120.0  # for a node that is being started


def main() -> int:
    """Watch over this machine's node."""
    parser = argparse.ArgumentParser(prog="python -m autotune.cluster.spot", description=__doc__)
    parser.add_argument("cloud", choices=tuple(CLOUDS))
    parser.add_argument("--address", required=True, help="of the cluster's control service, HOST:PORT")
    parser.add_argument("--early", action="store_true", help="also leave when an end is only likely")
    parser.add_argument("--metadata", default=METADATA, metavar="URL", help="(default: %(default)s)")
    given = parser.parse_args()
    node = _node(given.address)
    if node is None:
        _say(f"there is no node of {given.address} on this machine")
        return 1
    watch(CLOUDS[given.cloud](given.metadata), node, _say, given.early)
    return 0


def _node(address: str) -> Node | None:
    import ray._raylet  # noqa: F401  # takes a second, which there may not be once there is a notice

    end = time.monotonic() + START_S
    while (node := Node.here(address)) is None and time.monotonic() < end:
        time.sleep(1.0)
    return node


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} autotune spot: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
