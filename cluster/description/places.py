"""Who provides the machines, each with what only it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, final


class Submission(StrEnum):
    """Who submits a RayJob's entrypoint, in KubeRay's words."""

    K8S_JOB = "K8sJobMode"
    HTTP = "HTTPMode"
    INTERACTIVE = "InteractiveMode"
    SIDECAR = "SidecarMode"


class Form(StrEnum):
    """A cluster that lives as long as one study, or until somebody deletes it."""

    JOB = "job"
    CLUSTER = "cluster"


class Place:
    """What renderers and checks ask of every place.

    Attributes:
        tag: Its name in YAML.
        head_type: What Ray calls the head's type of node.
        only_type: What Ray calls every node, where the launcher knows one type only.
        cloud: Whether machines are bought by the name of an instance type.
        spot: Whether there is a spot market.
        own_head: Whether the head is a machine of its own, and every node runs a container image.
    """

    tag: ClassVar[str]
    head_type: ClassVar[str] = "head"
    only_type: ClassVar[str | None] = None
    cloud: ClassVar[bool] = False
    spot: ClassVar[bool] = False
    own_head: ClassVar[bool] = False


@final
@dataclass(frozen=True)
class AWS(Place):
    """Amazon EC2, through `ray up`.

    Attributes:
        ami: Machine image of Ubuntu with Docker, and NVIDIA's driver for GPUs; by id: it stays the same.
        subnets: Ids, in the order in which capacity is looked for.
        security_group: Id of an existing one. Ray opens SSH to the world in every group that it makes.
        ssh_cidr: From where SSH is let in; the group that the rendered foundation makes has this rule.
        head_profile: Instance profile that may start and end this cluster's nodes, and nothing else.
    """

    tag: ClassVar[str] = "aws"
    cloud: ClassVar[bool] = True
    spot: ClassVar[bool] = True
    own_head: ClassVar[bool] = True

    region: str
    ami: str
    subnets: tuple[str, ...]
    security_group: str
    ssh_cidr: str
    head_profile: str


@final
@dataclass(frozen=True)
class GCP(Place):
    """Google Compute Engine, through `ray up`.

    Attributes:
        zone: Such as `europe-west4-a`.
        image: `projects/P/global/images/NAME`; not a family, which moves.
        subnetwork: `projects/P/regions/R/subnetworks/NAME`, whose firewall lets in SSH from `ssh_cidr` only.
        head_account: Service account that may start and end instances; the rendered foundation makes it.
    """

    tag: ClassVar[str] = "gcp"
    cloud: ClassVar[bool] = True
    spot: ClassVar[bool] = True
    own_head: ClassVar[bool] = True

    project: str
    zone: str
    image: str
    subnetwork: str
    ssh_cidr: str
    head_account: str


@final
@dataclass(frozen=True)
class Azure(Place):
    """Azure, through `ray up`; nodes have no public address, so it runs inside the network or through a VPN.

    Ray's own rule lets SSH in from everywhere and cannot be changed; without public addresses it lets in the
    virtual network only.

    Attributes:
        resource_group: Of this cluster alone: Ray makes its identity Contributor of it.
        image: `publisher:offer:sku:version`; not `latest`, which moves.
    """

    tag: ClassVar[str] = "azure"
    cloud: ClassVar[bool] = True
    spot: ClassVar[bool] = True
    own_head: ClassVar[bool] = True

    location: str
    resource_group: str
    subscription: str
    image: str


@final
@dataclass(frozen=True)
class OnPremises(Place):
    """Own hosts that SSH reaches, through `ray up`.

    Attributes:
        head: Address of the head.
        hosts: Addresses of the others.
        ssh_key: File of the private key; None takes the SSH agent's.
    """

    tag: ClassVar[str] = "on_premises"
    only_type: ClassVar[str | None] = "local.cluster.node"
    head_type: ClassVar[str] = "local.cluster.node"

    head: str
    hosts: tuple[str, ...]
    ssh_user: str
    ssh_key: str | None = None


@final
@dataclass(frozen=True)
class Kubernetes(Place):
    """Kubernetes with the KubeRay operator, 1.7.

    Attributes:
        entrypoint: Command of the study; None only for a long-lived cluster.
        queue: Kueue's local queue; the cluster then starts suspended and has a fixed size.
        deadline_s: Seconds after which a job is ended, whatever it does; None never ends it.
    """

    tag: ClassVar[str] = "kubernetes"
    head_type: ClassVar[str] = "headgroup"
    spot: ClassVar[bool] = True
    own_head: ClassVar[bool] = True

    namespace: str = "default"
    form: Form = Form.JOB
    entrypoint: str | None = None
    submission: Submission = Submission.K8S_JOB
    queue: str | None = None
    deadline_s: int | None = None


@final
@dataclass(frozen=True)
class Slurm(Place):
    """One job of several nodes on Slurm.

    Attributes:
        entrypoint: Command of the study, on the first node.
        hours: Time limit.
        options: Further lines for sbatch, such as `--constraint=a100`.
    """

    tag: ClassVar[str] = "slurm"

    entrypoint: str
    partition: str
    hours: float
    account: str | None = None
    options: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Local(Place):
    """This machine; everything listens on loopback.

    Attributes:
        port: Of Ray's control service; the next three are those of its client server, and of the metrics of
            autoscaler and dashboard.
        dashboard_port: Of the dashboard, where jobs are taken.
    """

    tag: ClassVar[str] = "local"
    only_type: ClassVar[str | None] = "local"
    head_type: ClassVar[str] = "local"

    port: int = 6379
    dashboard_port: int = 8265

    @property
    def ports(self) -> tuple[int, ...]:
        """All that are not left to chance."""
        return (*range(self.port, self.port + 4), self.dashboard_port)
