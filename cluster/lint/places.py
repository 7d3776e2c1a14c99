"""What single places ask for beyond their types: regions, machine images, networks, queues."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator
from typing import Final

from autotune.cluster.description.findings import Finding, is_placeholder
from autotune.cluster.description.places import (
    AWS,
    GCP,
    Form,
    Kubernetes,
    Local,
    OnPremises,
    Slurm,
    Submission,
)
from autotune.cluster.description.spec import ClusterSpec

SHAPES: Final = {  # tag and field: what it must look like, and an example
    "aws.region": (r"[a-z]{2}(-[a-z]+)+-\d", "eu-central-1"),
    "aws.ami": (r"ami-[0-9a-f]{8,17}", "ami-0123456789abcdef0"),
    "aws.security_group": (r"sg-[0-9a-f]{8,17}", "sg-0123456789abcdef0"),
    "gcp.zone": (r"[a-z]+-[a-z]+\d+-[a-z]", "europe-west4-a"),
    "gcp.image": (r"projects/[^/]+/global/images/(?!family/)[^/]+", "projects/PROJECT/global/images/NAME"),
    "gcp.subnetwork": (
        r"projects/[^/]+/regions/[^/]+/subnetworks/[^/]+",
        "projects/PROJECT/regions/REGION/subnetworks/NAME",
    ),
    "azure.location": (r"[a-z]+[a-z0-9]*", "westeurope"),
    "azure.image": (r"[^:]+:[^:]+:[^:]+:(?!latest$)[^:]+", "publisher:offer:sku:1.2.3"),
    "kubernetes.namespace": (r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "default"),
}
WIDEST: Final = {4: 8, 6: 32}  # prefixes below these are no single network


def shapes(spec: ClusterSpec) -> Iterator[Finding]:
    """Regions, ids and images look like what the provider calls so, and mean the same tomorrow."""
    for key, (pattern, example) in SHAPES.items():
        tag, name = key.split(".")
        if tag != spec.where.tag:
            continue
        value = getattr(spec.where, name)
        if not is_placeholder(value) and not re.fullmatch(pattern, value):
            yield Finding(
                "shape",
                f"where.{key}",
                f"{value!r} is no {name.replace('_', ' ')}",
                f"write it as {example!r}",
            )


def instances(spec: ClusterSpec) -> Iterator[Finding]:
    """Clouds sell machines by name, and a name fixes what is in them."""
    nodes = spec.nodes
    named = [(f"nodes.groups[{k}].machine", group.machine) for k, group in enumerate(nodes.groups)]
    if nodes.head is not None:
        named.append(("nodes.head.machine", nodes.head.machine))
    elif spec.where.own_head:
        yield Finding(
            "head",
            "nodes",
            f"a cluster on {spec.where.tag} has a head of its own, and none is described",
            "add `head: {machine: {...}}`, small and without GPUs",
        )
    if nodes.head is not None and not spec.where.own_head:
        yield Finding(
            "head",
            "nodes.head",
            f"on {spec.where.tag} the first host is the head, and trials run there, too",
            "remove head",
        )
    for path, machine in named:
        if spec.where.cloud and machine.instance is None:
            yield Finding(
                "instance",
                path,
                f"{spec.where.tag} sells machines by name, and none is given",
                "add `instance: ...` with the type's name",
            )
        if isinstance(spec.where, GCP) and machine.gpus and (machine.instance or "").startswith("n1-"):
            yield Finding(
                "instance",
                f"{path}.instance",
                "n1 machines have no GPUs of their own, and none are attached",
                "take a type that has them, such as g2-standard-4",
            )


def network(spec: ClusterSpec) -> Iterator[Finding]:
    """SSH is let in from a network that somebody named, never from everywhere."""
    if isinstance(spec.where, AWS | GCP):
        path, value = f"where.{spec.where.tag}.ssh_cidr", spec.where.ssh_cidr
        if is_placeholder(value):
            return
        try:
            found = ipaddress.ip_network(value)
        except ValueError as error:
            yield Finding(
                "ssh-cidr", path, f"{value!r} is no network: {error}", "write yours as 198.51.100.7/32"
            )
            return
        if found.prefixlen < WIDEST[found.version]:
            yield Finding(
                "ssh-cidr",
                path,
                f"{value} lets in {'the whole world' if found.prefixlen == 0 else 'far too many'}",
                "write the address that you come from, as 198.51.100.7/32",
            )


def subnets(spec: ClusterSpec) -> Iterator[Finding]:
    """AWS is told where, so that Ray does not look for itself."""
    if isinstance(spec.where, AWS):
        given = spec.where.subnets
        wrong = [
            one
            for one in given
            if not is_placeholder(one) and not re.fullmatch(r"subnet-[0-9a-f]{8,17}", one)
        ]
        if wrong or not given:
            yield Finding(
                "shape",
                "where.aws.subnets",
                f"{wrong[0]!r} is no subnet" if wrong else "there is no subnet",
                "list their ids, as `[subnet-0123456789abcdef0]`",
            )


def one_group(spec: ClusterSpec) -> Iterator[Finding]:
    """One job of Slurm, own hosts and a laptop have nodes of one kind."""
    if isinstance(spec.where, Slurm | OnPremises | Local) and len(spec.nodes.groups) > 1:
        yield Finding(
            "one-group",
            "nodes.groups[1]",
            f"{spec.where.tag} has nodes of one kind, {len(spec.nodes.groups)} groups are given",
            "keep one; run a second cluster for other machines",
        )
    for k, group in enumerate(spec.nodes.groups[:1]):
        path = f"nodes.groups[{k}].count"
        if isinstance(spec.where, Local) and group.count.max != 1:
            yield Finding(
                "one-group",
                path,
                f"this machine is one node, not {group.count.max}",
                "use `{min: 1, max: 1}`",
            )
        if isinstance(spec.where, Slurm) and group.count.min != group.count.max:
            yield Finding(
                "one-group",
                path,
                f"a Slurm job has a fixed size, not {group.count.min} to {group.count.max} nodes",
                "make min and max equal",
            )
        if isinstance(spec.where, OnPremises):
            hosts = [spec.where.head, *spec.where.hosts]
            others = len(set(hosts)) - 1
            if group.count.max != others or len(set(hosts)) < len(hosts):
                yield Finding(
                    "hosts",
                    path,
                    f"{group.count.max} nodes at most, but {others} different hosts beside the head",
                    "let count.max be the number of hosts, each named once",
                )


def ports(spec: ClusterSpec) -> Iterator[Finding]:
    """Ports of this machine that everybody may open, one for each who listens."""
    if not isinstance(spec.where, Local):
        return
    wanted = spec.where.ports
    if not all(1024 <= port < 65536 for port in wanted) or len(set(wanted)) < len(wanted):
        yield Finding(
            "ports",
            "where.local",
            f"the ports {', '.join(map(str, wanted))} cannot be opened side by side",
            "use others from 1024 to 65535, such as 6379 for port, with the three after it, and 8265",
        )


def slurm(spec: ClusterSpec) -> Iterator[Finding]:
    """A time limit that the notice before its end fits in."""
    if isinstance(spec.where, Slurm) and not spec.nodes.recovery.grace_s < 3600 * spec.where.hours < math.inf:
        yield Finding(
            "number",
            "where.slurm.hours",
            f"{spec.where.hours:g} h end before the notice of {spec.nodes.recovery.grace_s} s",
            "give a finite number of hours, longer than that",
        )


def kubernetes(spec: ClusterSpec) -> Iterator[Finding]:
    """What the operator refuses only once the manifest is applied."""
    where = spec.where
    if not isinstance(where, Kubernetes):
        return
    if (where.form is Form.JOB) != (
        where.entrypoint is not None
    ) and where.submission is not Submission.INTERACTIVE:
        yield Finding(
            "entrypoint",
            "where.kubernetes",
            "a job needs an entrypoint"
            if where.form is Form.JOB
            else "a long-lived cluster has no entrypoint",
            "give `entrypoint: ...` with `form: job`, and none with `form: cluster`",
        )
    if where.deadline_s is not None and where.deadline_s < 1:
        yield Finding(
            "number", "where.kubernetes.deadline_s", f"{where.deadline_s} is out of range", "use 1 or more"
        )
    if where.queue is not None:
        for k, group in enumerate(spec.nodes.groups):
            if group.count.min != group.count.max:
                yield Finding(
                    "queue",
                    f"nodes.groups[{k}].count",
                    "Kueue admits a cluster of a fixed size, this one grows",
                    "make min and max equal, or remove where.kubernetes.queue",
                )
