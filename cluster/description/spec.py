"""A cluster as one typed value: its machines, image, storage and authentication; see docs/cluster.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final, final

from autotune.cluster.description.places import AWS, GCP, Azure, Kubernetes, Local, OnPremises, Slurm

HEAD: Final = "head"
TOKEN_FILE: Final = "~/.ray/auth_token"  # a place, not a token


class Market(StrEnum):
    """How a machine is bought."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"


class Gcs(StrEnum):
    """Where Ray's control service keeps its state; only `memory` dies with the head."""

    MEMORY = "memory"
    REDIS = "redis"
    ROCKSDB = "rocksdb"


@final
@dataclass(frozen=True)
class Machine:
    """What one node offers; on Kubernetes, what its pod asks for.

    Attributes:
        cpus: Whole CPUs, at least 1.
        memory_gib: At least 1.
        gpus: Whole GPUs; only a trial may use a part of one.
        instance: The cloud's name of the type; None where machines are not bought by name.
        disk_gib: Of the boot disk, on clouds.
        labels: Of the Kubernetes nodes that the pods go to, such as the spot label.
    """

    cpus: int
    memory_gib: float
    gpus: float = 0
    instance: str | None = None
    disk_gib: int = 100
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def work_gib(self) -> float:
        """Memory that Ray gives to work; the rest is for its object store and the system."""
        return 0.7 * self.memory_gib


@final
@dataclass(frozen=True)
class Count:
    """How many nodes a group has; the autoscaler stays between `min` and `max`."""

    min: int = 0
    max: int = 1


@final
@dataclass(frozen=True)
class Group:
    """Nodes of one kind, on which trials run.

    Attributes:
        name: Ray's name of the node type, and so the key of its price.
        priority: The autoscaler prefers groups with a higher one.
        price_per_hour: Of one node, in any currency; None leaves the group out of bills.
    """

    name: str
    machine: Machine
    count: Count = field(default_factory=Count)
    market: Market = Market.ON_DEMAND
    priority: int = 0
    price_per_hour: float | None = None


@final
@dataclass(frozen=True)
class Head:
    """The node that Ray's control service runs on; no trial runs there, and nothing may reclaim it."""

    machine: Machine
    market: Market = Market.ON_DEMAND
    price_per_hour: float | None = None


@final
@dataclass(frozen=True)
class Trial:
    """What one trial occupies, in part of a GPU where that is enough.

    Attributes:
        hours: How long one trial that is trained to its end takes, where known: lets a budget be checked.
    """

    cpus: float = 1
    gpus: float = 0
    memory_gib: float = 0
    hours: float | None = None

    @property
    def resources(self) -> dict[str, float]:
        """What Ray is asked for."""
        return {"CPU": float(self.cpus), "GPU": float(self.gpus)}


@final
@dataclass(frozen=True)
class Redis:
    """A Redis that is there already.

    Attributes:
        address: `host:port`.
        secret_name: Kubernetes secret whose key `password` holds its password; None for none.
    """

    address: str
    secret_name: str | None = None


@final
@dataclass(frozen=True)
class Recovery:
    """How nodes end and what outlives the head.

    Attributes:
        grace_s: Seconds between the notice of a node's end and the end.
        drain_s: Seconds of these that Ray gives trials to save themselves, below `grace_s`.
        leave_early: Leave a spot machine when its end is only likely, too: AWS's rebalance recommendation.
        idle_minutes: A node without work for so long is given back; about what another one takes to boot, for
            a longer wait costs more than that.
    """

    grace_s: int = 120
    drain_s: int = 110
    leave_early: bool = False
    idle_minutes: float = 2
    gcs: Gcs = Gcs.MEMORY
    redis: Redis | None = None


@final
@dataclass(frozen=True)
class Nodes:
    """All machines, and what a trial needs of them.

    Attributes:
        head: None where the first of the allocated hosts is the head: Slurm, own hosts, a laptop.
    """

    groups: tuple[Group, ...]
    trial: Trial = field(default_factory=Trial)
    head: Head | None = None
    recovery: Recovery = field(default_factory=Recovery)


@final
@dataclass(frozen=True)
class Image:
    """The software of every node.

    Attributes:
        name: Container image, pinned by tag or digest. Without containers (Slurm, own hosts, a laptop), the
            folder of the virtual environment; None there uses what is on the path.
        ray: Version of Ray in it.
        python: Its `major.minor`.
        setup: Shell commands that every node runs once before Ray, to install what the image lacks.
    """

    ray: str
    python: str
    name: str | None = None
    setup: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Storage:
    """Where studies live.

    Attributes:
        path: `s3://`, `gs://`, `az://` or `abfs://`, or an absolute path.
        identity: Whose right to read and write it nodes have: instance profile (AWS), service account (GCP,
            Kubernetes). Never a key.
        shared: Every node sees the path as the same folder; needed for a path on several hosts.
    """

    path: str
    identity: str | None = None
    shared: bool = False


@final
@dataclass(frozen=True)
class Authentication:
    """How a node or a client shows that it belongs: Ray's token, by reference, never by value.

    Attributes:
        token_file: Private to its owner (0600); goes to every node through SSH or the shared home.
        secret_name: Kubernetes secret whose key `auth_token` holds it; None lets KubeRay make one.
        tls: Encrypt Ray's own traffic; only on Kubernetes, where the operator makes the certificates.
    """

    token_file: str | None = TOKEN_FILE
    secret_name: str | None = None
    tls: bool = False


@final
@dataclass(frozen=True)
class ClusterSpec:
    """A cluster; renderers turn it into what a launcher reads.

    Attributes:
        name: Lower-case letters, digits and hyphens.
        where: Who provides the machines, with what only that provider asks for.
    """

    name: str
    where: AWS | GCP | Azure | OnPremises | Kubernetes | Slurm | Local
    nodes: Nodes
    image: Image
    storage: Storage
    authentication: Authentication = field(default_factory=Authentication)

    @property
    def prices(self) -> dict[str, float]:
        """Price per hour by type of node as Ray names it: what `Study(prices=...)` takes."""
        priced = [(self.node_type(group), group.price_per_hour) for group in self.nodes.groups]
        if self.nodes.head is not None:
            priced.append((self.where.head_type, self.nodes.head.price_per_hour))
        return {name: price for name, price in priced if price is not None}

    def node_type(self, group: Group) -> str:
        """What Ray calls a group's nodes; some launchers have one name for all."""
        return self.where.only_type or group.name

    def to_plain(self) -> dict[str, Any]:
        """As the YAML file has it, without what is as by default."""
        plain: dict[str, Any] = _plain(self)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    fields = {
        f.name: _plain(named[f.name]) for f in dataclasses.fields(value) if named[f.name] != _default(f)
    }
    return {value.tag: fields} if hasattr(value, "tag") else fields


def _default(one: dataclasses.Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
