"""Whether every node of a live cluster is what a study needs, found out before anything is paid for."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import ray
from ray._private.worker import get_dashboard_url

from autotune.cluster.live.access import Access
from autotune.cluster.live.connection import GROUP, ask_every_node, connect, live_nodes, present, slots
from autotune.cluster.live.reach import Mark, unreached
from autotune.cluster.live.rent import LOCAL
from autotune.storage.location import Location

PACKAGES: Final = ("autotune", "ray", "torch", "numpy")
DISK_GIB: Final = 2.0  # for checkpoints on their way, spilled objects and Ray's own logs
SKEW_S: Final = 5.0  # beyond it, times in logs of several nodes can no longer be put in order
PATIENCE_S: Final = 60.0  # for a task to begin on a node, its process starting first


@dataclass(frozen=True)
class NodeFacts:
    """What one node says of itself.

    Attributes:
        node: Its address.
        group: Its type, as the autoscaler names it.
        versions: Of Python and of what a trial imports; absent where it is not installed.
        gpus: How many PyTorch finds there.
        promised: How many the cluster says there are.
        free_gib: Of the disk that temporary files go to.
        skew_s: How far its clock is ahead of the driver's, as far as the answer's own delay lets one tell.
        silent: Why it has not answered; the rest says nothing then.
    """

    node: str
    group: str = LOCAL
    versions: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    promised: float = 0.0
    free_gib: float = 0.0
    skew_s: float = 0.0
    silent: str | None = None


def problems(
    here: Mapping[str, str], nodes: Sequence[NodeFacts], resources: Mapping[str, float]
) -> list[str]:
    """What must be mended, one sentence each: the node, what it has, what it should have, and what to do.

    Args:
        here: Versions of the driver.
        nodes: Every node.
        resources: What a trial occupies.
    """
    if not nodes:
        return ["the cluster has no node; look at its autoscaler's log"]
    return [text for node in nodes for text in _of_node(here, node, resources)]


def _of_node(here: Mapping[str, str], node: NodeFacts, resources: Mapping[str, float]) -> Iterator[str]:
    name = f"node {node.node} ({node.group})"
    if node.silent is not None:
        yield f"{name} has not answered within {PATIENCE_S:g} s: {node.silent}"
        return
    for package, wanted in here.items():
        found = node.versions.get(package)
        if found != wanted:
            has = f"has {package} {found}" if found else f"lacks {package}"
            yield f"{name} {has}, and the driver has {wanted}; give both the same image"
    if resources.get("GPU", 0) > 0 and node.gpus < node.promised:
        yield (
            f"{name} promises {node.promised:g} GPUs and PyTorch finds {node.gpus}; check the driver and "
            "that the image's torch was built for CUDA"
        )
    if node.free_gib < DISK_GIB:
        yield f"{name} has {node.free_gib:.1f} GiB of disk left, below {DISK_GIB:g}; clear it or enlarge it"
    if abs(node.skew_s) > SKEW_S:
        yield f"{name} has a clock {node.skew_s:+.0f} s from the driver's, beyond {SKEW_S:g}; set it by NTP"


def facts() -> list[NodeFacts]:
    """Ask every node of the cluster that this process is connected to."""
    began = time.time()
    return [_facts(node, began, said) for node, said in ask_every_node(_of_here, patience_s=PATIENCE_S)]


def check(
    address: str,
    resources: Mapping[str, float],
    place: Location | None = None,
    token_file: Path | None = None,
    grows: bool = False,
    machines: int = 0,
) -> list[str]:
    """What keeps a live cluster from running a study, one sentence each.

    Args:
        address: `auto`, or `host:port`: this process joins it, so it is one of its machines.
        resources: What a trial occupies.
        place: Where the study is to be kept; None leaves the storage alone.
        token_file: Holds the cluster's token; Ray's own place when None.
        grows: Whether an autoscaler starts machines when trials wait for them; there may be none yet.
        machines: That must be there, of a cluster that has all of them from the start.

    Raises:
        ClusterError: When the cluster cannot be joined.
        ConfigurationError: When it is open to everybody.
        StorageError: When this machine cannot write to `place`.
    """
    connect(address, resources, None)
    try:
        door: str = get_dashboard_url()  # type: ignore[no-untyped-call]  # Ray's own
        Access(f"http://{door}", token_file, locked=True).check()
        found = problems(versions(), facts(), resources)
        if not grows and slots(live_nodes(), resources) == 0:
            found.append(f"no node that is up holds a trial of {dict(resources)}, and none will be started")
        if (there := present(live_nodes())) < machines:
            found.append(f"{there} of {machines} machines have joined; see Ray's logs on the others")
        if place is not None:
            mark = Mark.plant(place)
            found += unreached(mark)
            mark.remove()
        return found
    finally:
        ray.shutdown()


def versions() -> dict[str, str]:
    """Of Python and of what a trial imports, here."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # left out: the driver knows what is wanted
            continue
    return found


def _of_here() -> dict[str, Any]:
    """What runs on each node."""
    try:
        import torch

        gpus = torch.cuda.device_count()
    except ImportError:
        gpus = 0
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return {"versions": versions(), "gpus": gpus, "free_gib": free / 2**30, "clock": time.time()}


def _facts(node: Mapping[str, Any], began: float, said: Any) -> NodeFacts:
    name = str(node["NodeManagerAddress"])
    group = str(node.get("Labels", {}).get(GROUP) or LOCAL)
    promised = float(node["Resources"].get("GPU", 0.0))
    if isinstance(said, Exception):
        words = str(said).strip() or type(said).__name__
        return NodeFacts(name, group, promised=promised, silent=words.splitlines()[0][:200])
    clock = said.pop("clock")
    ahead = max(0.0, clock - time.time()) or min(0.0, clock - began)  # between the two it may well be right
    return NodeFacts(name, group, promised=promised, skew_s=ahead, **said)
