"""What no schema says about a cluster: rules over the spec, all of them checked, none stops the others."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Final

from autotune.cluster.findings import Finding, is_placeholder, leaves
from autotune.cluster.lint_places import PLACE_RULES
from autotune.cluster.places import Kubernetes, Local
from autotune.cluster.secret_scan import find_secrets
from autotune.cluster.spec import HEAD, ClusterSpec, Gcs, Group, Machine, Market, Trial
from autotune.cluster.versions import ours, pinned, said_by

LABEL: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LONGEST: Final = 47  # KubeRay appends to a RayJob's name, and pods to that
RESERVED: Final = (HEAD, "headgroup")
REMOTE: Final = ("s3://", "gs://", "az://", "abfs://", "abfss://")

Rule = Callable[[ClusterSpec], Iterator[Finding]]


def lint(spec: ClusterSpec) -> list[Finding]:
    """Every finding of every rule."""
    return [one for rule in RULES for one in rule(spec)]


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


def image(spec: ClusterSpec) -> Iterator[Finding]:
    """The same software everywhere, today and tomorrow."""
    contained = spec.where.cloud or isinstance(spec.where, Kubernetes)
    name, (ray, python) = spec.image.name, ours()
    if name is None:
        if contained:
            yield Finding(
                "image-pinned",
                "image",
                f"nodes on {spec.where.tag} run a container image, and none is named",
                f"write `name: rayproject/ray:{ray}-py{python.replace('.', '')}`, or an image of your own",
            )
    elif contained and not is_placeholder(name):
        if not pinned(name):
            yield Finding(
                "image-pinned",
                "image.name",
                f"{name!r} may be another image tomorrow",
                "name a version or a digest, not `latest` or `nightly`",
            )
        for what, said, declared in zip(
            ("ray", "python"), said_by(name), (spec.image.ray, spec.image.python), strict=True
        ):
            if said is not None and said != declared:
                yield Finding(
                    "versions",
                    f"image.{what}",
                    f"the image's tag says {what} {said}, the spec {declared}",
                    "make them agree",
                )
    if isinstance(spec.where, Kubernetes) and spec.image.setup:
        yield Finding(
            "image-setup",
            "image.setup",
            "a pod runs no commands before Ray starts in it",
            "build an image that holds what they install, and name it",
        )
    for what, declared, here in (("ray", spec.image.ray, ray), ("python", spec.image.python, python)):
        if declared != here:
            yield Finding(
                "versions",
                f"image.{what}",
                f"nodes have {what} {declared}, this machine has {here}: they cannot talk to each other",
                f"take an image with {what} {here}, or run autotune where {what} is {declared}",
            )


def recovery(spec: ClusterSpec) -> Iterator[Finding]:
    """A drain must end before the node does; what outlives the head must be rendered by somebody."""
    given = spec.nodes.recovery
    if not 0 < given.drain_s < given.grace_s:
        yield Finding(
            "grace",
            "nodes.recovery.drain_s",
            f"draining for {given.drain_s} s does not end before the node does, after {given.grace_s} s",
            "use a drain_s above 0 and below grace_s, such as 110 and 120",
        )
    if given.gcs is not Gcs.MEMORY and not isinstance(spec.where, Kubernetes):
        yield Finding(
            "gcs",
            "nodes.recovery.gcs",
            f"{given.gcs} is rendered for Kubernetes only",
            "use `gcs: memory`; a lost head then ends the cluster, and the next one resumes the study",
        )
    if (given.gcs is Gcs.REDIS) != (given.redis is not None):
        yield Finding(
            "gcs",
            "nodes.recovery.redis",
            f"`gcs: {given.gcs}` {'needs' if given.redis is None else 'does not use'} an address of Redis",
            "give `gcs: redis` and `redis: {address: host:port}` together, or neither",
        )
    if given.redis is not None and not re.fullmatch(r"[^:]+:\d+", given.redis.address):
        yield Finding(
            "gcs",
            "nodes.recovery.redis.address",
            f"{given.redis.address!r} is no address",
            "write `host:port`, without a scheme or a password",
        )


def storage(spec: ClusterSpec) -> Iterator[Finding]:
    """Every node must see the same storage, and so must the next cluster."""
    path = spec.storage.path
    if path.startswith(REMOTE) or is_placeholder(path):
        return
    if "://" in path:
        yield Finding(
            "storage",
            "storage.path",
            f"{path!r} is in a storage that is not known",
            f"use one of {', '.join(REMOTE)} or an absolute path",
        )
    elif not path.startswith("/"):
        yield Finding(
            "storage", "storage.path", f"{path!r} means another folder on every node", "use an absolute path"
        )
    elif not isinstance(spec.where, Local) and not spec.storage.shared:
        yield Finding(
            "storage",
            "storage.path",
            f"{path!r} is a folder of its own on every host: a trial that moves loses its checkpoints",
            "use s3://, gs://, az://, or a folder that all hosts mount, with `shared: true`",
        )


def authentication(spec: ClusterSpec) -> Iterator[Finding]:
    """A cluster without a token runs what anybody sends it."""
    given = spec.authentication
    if isinstance(spec.where, Kubernetes):
        return
    if given.token_file is None:
        yield Finding(
            "token",
            "authentication.token_file",
            "without a token everybody who reaches the cluster may run code on it",
            "name the file of the token; `ray get-auth-token --generate` makes ~/.ray/auth_token",
        )
    for name, wanted in (("secret_name", given.secret_name is not None), ("tls", given.tls)):
        if wanted:
            yield Finding(
                "token",
                f"authentication.{name}",
                f"{name} is rendered for Kubernetes only",
                "remove it; here the token travels by SSH, and traffic stays in the private network",
            )


def secrets(spec: ClusterSpec) -> Iterator[Finding]:
    """No value is a secret."""
    yield from find_secrets(spec.to_plain())


def placeholders(spec: ClusterSpec) -> Iterator[Finding]:
    """What only the user knows must be filled in before anything is started."""
    for path, value in leaves(spec.to_plain()):
        if is_placeholder(value):
            yield Finding("fill-in", path, f"{value!r} is still to be filled in", "write yours", waits=True)


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
    asked["GiB of memory"] = (trial.memory_gib, have.memory_gib)
    short = [
        f"it needs {need:g} {what}, the node has {has:g}" for what, (need, has) in asked.items() if need > has
    ]
    return "; ".join(short) or None


RULES: Final[tuple[Rule, ...]] = (
    names,
    numbers,
    whole_gpus,
    trial_fits,
    spot,
    image,
    recovery,
    storage,
    authentication,
    secrets,
    placeholders,
    *PLACE_RULES,
)


def cheapest(spec: ClusterSpec) -> float | None:
    """The lowest price of an hour of one trial alone on a node and the head; None where one is missing."""
    head = spec.nodes.head.price_per_hour if spec.nodes.head is not None else 0.0
    fits = [group for group in spec.nodes.groups if lacks(group, spec.nodes.trial) is None]
    priced = [group.price_per_hour for group in fits if group.price_per_hour is not None]
    if head is None or not fits or len(priced) < len(fits):
        return None
    return head + min(priced)
