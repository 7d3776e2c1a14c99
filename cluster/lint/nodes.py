"""Rules over the nodes of a cluster: names, sizes, and whether a trial fits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from autotune.cluster.description.findings import Finding
from autotune.cluster.description.places import Kubernetes
from autotune.cluster.description.spec import HEAD, ClusterSpec, Group, Machine, Market, Trial

LABEL: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LONGEST: Final = 47  # KubeRay appends to a RayJob's name, and pods to that
RESERVED: Final = (HEAD, "headgroup")


def names(spec: ClusterSpec) -> Iterator[Finding]:
    """Names go into pods, tags and labels; a group's is the key of its price."""
    groups = [(f"nodes.groups[{k}].name", group.name) for k, group in enumerate(spec.nodes.groups)]
    for path, name in [("name", spec.name), *groups]:
        if not LABEL.fullmatch(name) or len(name) > LONGEST:
            yield Finding(
                "name",
                path,
                f"{name!r} cannot be a name",
                f"use at most {LONGEST} lower-case letters, digits and hyphens, a letter first",
            )
    for k, (path, name) in enumerate(groups):
        if name in RESERVED or name in [other for _, other in groups[:k]]:
            yield Finding("name", path, f"{name!r} is taken", "give every group a name of its own")
    if not groups:
        yield Finding(
            "name", "nodes.groups", "there is no group", "describe at least one, on which trials run"
        )


def numbers(spec: ClusterSpec) -> Iterator[Finding]:
    """Sizes and prices are finite and in range."""
    bounds: list[tuple[str, float | None, float]] = []
    for path, machine in machines(spec):
        bounds.append((f"{path}.cpus", machine.cpus, 1))
        bounds.append((f"{path}.memory_gib", machine.memory_gib, 1))
        bounds.append((f"{path}.gpus", machine.gpus, 0))
        bounds.append((f"{path}.disk_gib", machine.disk_gib, 10))
    for k, group in enumerate(spec.nodes.groups):
        bounds.append((f"nodes.groups[{k}].count.min", group.count.min, 0))
        bounds.append((f"nodes.groups[{k}].count.max", group.count.max, max(1, group.count.min)))
        bounds.append((f"nodes.groups[{k}].priority", group.priority, 0))
        bounds.append((f"nodes.groups[{k}].price_per_hour", group.price_per_hour, 0))
    head, trial = spec.nodes.head, spec.nodes.trial
    bounds.append(("nodes.head.price_per_hour", head.price_per_hour if head else None, 0))
    for name in ("cpus", "gpus", "memory_gib", "hours"):
        bounds.append((f"nodes.trial.{name}", getattr(trial, name), 0))
    bounds.append(("nodes.recovery.idle_minutes", spec.nodes.recovery.idle_minutes, 0))
    for path, value, low in bounds:
        if value is not None and not low <= value < math.inf:
            yield Finding(
                "number", path, f"{value:g} is out of range", f"use a finite number of at least {low:g}"
            )


def whole_gpus(spec: ClusterSpec) -> Iterator[Finding]:
    """Every schema counts a node's GPUs in whole numbers."""
    for path, machine in machines(spec):
        if machine.gpus % 1 != 0:
            yield Finding(
                "whole-gpus",
                f"{path}.gpus",
                f"a node cannot have {machine.gpus:g} GPUs",
                f"write the whole GPUs of the node here, and `gpus: {machine.gpus % 1:g}` under nodes.trial "
                "to let trials share one",
            )


def trial_fits(spec: ClusterSpec) -> Iterator[Finding]:
    """A group that no trial fits in is paid for and never used."""
    for k, group in enumerate(spec.nodes.groups):
        if (lacking := lacks(group, spec.nodes.trial)) is not None:
            yield Finding(
                "trial-fits",
                f"nodes.groups[{k}].machine",
                f"no trial fits on a node of {group.name!r}: {lacking}",
                "choose a larger machine, or lower nodes.trial",
            )


def spot(spec: ClusterSpec) -> Iterator[Finding]:
    """The head must not be reclaimed, and not every place sells spot machines."""
    head = spec.nodes.head
    if head is not None and head.market is Market.SPOT:
        yield Finding(
            "spot-head",
            "nodes.head.market",
            "the head is on the spot market: when it is reclaimed, the whole cluster ends",
            "use on_demand for the head; spot is for groups",
        )
    for k, group in enumerate(spec.nodes.groups):
        path = f"nodes.groups[{k}]"
        if group.market is Market.SPOT and not spec.where.spot:
            yield Finding(
                "spot-place",
                f"{path}.market",
                f"there is no spot market on {spec.where.tag}",
                "remove it, or take a preemptible partition through where.slurm.options",
            )
        elif group.market is Market.SPOT and isinstance(spec.where, Kubernetes) and not group.machine.labels:
            yield Finding(
                "spot-labels",
                f"{path}.machine",
                "Kubernetes cannot know which nodes are spot",
                "give the label that they have, such as `labels: {karpenter.sh/capacity-type: spot}`",
            )


def machines(spec: ClusterSpec) -> Iterator[tuple[str, Machine]]:
    """Every machine with its path, the head's included."""
    if spec.nodes.head is not None:
        yield "nodes.head.machine", spec.nodes.head.machine
    for k, group in enumerate(spec.nodes.groups):
        yield f"nodes.groups[{k}].machine", group.machine


def lacks(group: Group, trial: Trial) -> str | None:
    """What a trial asks for that a node of the group does not have; None where it fits."""
    have = group.machine
    asked = {"CPUs": (trial.cpus, have.cpus), "GPUs": (trial.gpus, have.gpus)}
    asked["GiB of memory"] = (trial.memory_gib, have.work_gib)
    short = [
        f"it needs {need:g} {what}, the node has {has:.4g} for work"
        for what, (need, has) in asked.items()
        if need > has
    ]
    return "; ".join(short) or None


def cheapest(spec: ClusterSpec) -> float | None:
    """The lowest price of an hour of one trial alone on a node and the head; None where one is missing."""
    head = spec.nodes.head.price_per_hour if spec.nodes.head is not None else 0.0
    fits = [group for group in spec.nodes.groups if lacks(group, spec.nodes.trial) is None]
    priced = [group.price_per_hour for group in fits if group.price_per_hour is not None]
    if head is None or not fits or len(priced) < len(fits):
        return None
    return head + min(priced)
