"""Specs to start from: commented, valid as they are, with what only the user knows in angle brackets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from autotune.cluster.description.versions import ours
from autotune.errors import ConfigurationError, unknown

CPU: Final = "cpus: 2, memory_gib: 8"
GPU: Final = "cpus: 4, memory_gib: 16, gpus: 1"


@dataclass(frozen=True)
class Preset:
    """What differs from place to place.

    Attributes:
        where: Below the place's name.
        storage: Below `storage`.
        worker: What a worker's machine has.
        head: What the head's machine has; None where the first host is the head.
        count: Of workers.
        spot: What a spot machine has besides; None where there is no spot market.
    """

    where: str
    storage: str
    worker: str
    head: str | None = None
    count: str = "{min: 0, max: 8}"
    spot: str | None = None


SHARED: Final = """\
  path: /<shared file system>/studies
  shared: true                        # every host sees the same folder
"""
PRESETS: Final = {
    "aws": Preset(
        where="""\
    region: eu-central-1
    ami: ami-<with Docker, and NVIDIA's driver for GPUs>    # by id: it stays the same
    subnets: [subnet-<of your VPC>]   # the first that has capacity is taken
    security_group: sg-<output of the rendered foundation.json>
    ssh_cidr: <your address>/32       # the only place that SSH is let in from
    head_profile: NAME-head           # foundation.json makes it: may start and end this cluster's nodes only
""",
        storage="""\
  path: s3://<bucket>/studies
  identity: NAME-worker               # instance profile of the nodes, made by foundation.json; no keys
""",
        worker=f"{GPU}, instance: g5.xlarge",
        head=f"{CPU}, instance: m6i.large",
        spot="",
    ),
    "gcp": Preset(
        where="""\
    project: <project>
    zone: europe-west4-a
    image: projects/<project>/global/images/<with Docker, and NVIDIA's driver for GPUs>
    # of a network of its own: the one named `default` lets SSH in from everywhere
    subnetwork: projects/<project>/regions/europe-west4/subnetworks/<name>
    ssh_cidr: <your address>/32       # the only place that SSH is let in from; see the rendered foundation.sh
    head_account: NAME-head@<project>.iam.gserviceaccount.com    # foundation.sh makes it
""",
        storage="""\
  path: gs://<bucket>/studies
  identity: NAME-worker@<project>.iam.gserviceaccount.com        # of the nodes, from foundation.sh; no keys
""",
        worker=f"{GPU}, instance: g2-standard-4",
        head=f"{CPU}, instance: n2-standard-2",
        spot="",
    ),
    "azure": Preset(
        where="""\
    # nodes have no public address: run `ray up` inside the network
    location: westeurope
    resource_group: <one for this cluster alone>
    subscription: <subscription id>
    image: <publisher>:<offer>:<sku>:<version>              # a version, not `latest`
""",
        storage="  path: abfs://<container>@<account>.dfs.core.windows.net/studies\n",
        worker="cpus: 4, memory_gib: 28, gpus: 1, instance: Standard_NC4as_T4_v3",
        head=f"{CPU}, instance: Standard_D2s_v5",
        spot="",
    ),
    "kubernetes": Preset(
        where="""\
    # with the KubeRay operator, 1.7
    namespace: default
    form: job                         # or cluster: it lives until it is deleted
    # on the cluster; a second attempt resumes the study
    entrypoint: autotune run <STUDY.yaml in the image> --path <its folder> --engine ray --address auto
    submission: K8sJobMode
    # queue: <Kueue's local queue>    # then count.min and count.max must be equal
    deadline_s: 86400                 # ends the job, whatever it does
""",
        storage="""\
  # or gs://<bucket>/studies, abfs://<container>@<account>.dfs.core.windows.net/studies
  path: s3://<bucket>/studies?region=<region>
  # identity: <service account>       # of the pods: workload identity instead of keys
""",
        worker=GPU,
        head=CPU,
        spot=", labels: {karpenter.sh/capacity-type: spot}",  # Karpenter's; EKS, GKE and AKS have others
    ),
    "slurm": Preset(
        where="""\
    partition: <partition>
    hours: 24
    # on the first node; submitted again, it resumes the study
    entrypoint: autotune run <STUDY.yaml> --path <its folder> --engine ray --address auto
    # account: <account>
    # options: [--constraint=a100]    # further lines for sbatch
""",
        storage=SHARED,
        worker="cpus: 32, memory_gib: 128, gpus: 4",
        count="{min: 4, max: 4}",
    ),
    "on_premises": Preset(
        where="""\
    head: <address of the head>
    hosts: [<address of another>]     # as many as count.max
    ssh_user: <user>
    # ssh_key: ~/.ssh/id_ed25519      # the SSH agent's when absent
""",
        storage=SHARED,
        worker="cpus: 8, memory_gib: 32, gpus: 1",
        count="{min: 1, max: 1}",
    ),
    "local": Preset(
        where="    port: 6379                        # on loopback, as everything of it\n",
        storage="  path: /var/tmp/autotune/studies\n",
        worker="cpus: 2, memory_gib: 4",
        count="{min: 1, max: 1}",
    ),
}
TOKEN: Final = (
    "  token_file: ~/.ray/auth_token       # made by `ray get-auth-token --generate`; yours alone (0600)\n"
)
SECRET: Final = """\
  # secret_name: <secret>             # key auth_token; KubeRay makes one when absent
  tls: false
"""
PRICE: Final = "      # price_per_hour: 0.50          # of one node, in any currency; adds the bill\n"


def preset(on: str, spot: bool = False, name: str = "autotune") -> str:
    """A spec's text.

    Args:
        on: A name in `PRESETS`.
        spot: Spot machines first, and as many on demand where there are none.
        name: Of the cluster.

    Raises:
        ConfigurationError: When there is no such place, or no spot market there.
    """
    if on not in PRESETS:
        raise ConfigurationError(unknown("place", on, PRESETS))
    chosen = PRESETS[on]
    if spot and chosen.spot is None:
        raise ConfigurationError(f"--spot: there is no spot market on {on}; leave it out")
    head = "  head:                               # no trial runs there; never spot\n    machine: "
    text = (
        f"# A cluster on {on}; see docs/cluster.md. To check it: autotune cluster check --offline FILE\n"
        f"name: NAME\nwhere:\n  {on}:\n{chosen.where}nodes:\n"
        + (f"{head}{{{chosen.head}}}\n" if chosen.head else "")
        + _groups(chosen, spot)
        + _trial("gpus" in chosen.worker)
        + _image(chosen)
        + f"storage:\n{chosen.storage}"
        + f"authentication:\n{SECRET if on == 'kubernetes' else TOKEN}"
    )
    return text.replace("NAME", name)


def _groups(chosen: Preset, spot: bool) -> str:
    def group(name: str, machine: str, more: str = "") -> str:
        return f"    - name: {name}\n      machine: {{{machine}}}\n      count: {chosen.count}\n{more}{PRICE}"

    if not spot:
        return "  groups:\n" + group("workers", chosen.worker)
    first = "      market: spot\n      priority: 10                    # asked for first\n"
    return (
        "  groups:\n"
        + group("spot", f"{chosen.worker}{chosen.spot}", first)
        + group("on-demand", chosen.worker)
    )


def _trial(gpus: bool) -> str:
    trial = (
        "{cpus: 4, gpus: 1}           # what one occupies; gpus: 0.5 lets two share one"
        if gpus
        else "{cpus: 1}"
    )
    return (
        f"  trial: {trial}\n"
        "  # seconds from a node's notice to its end, and of these for trials to save themselves\n"
        "  recovery: {grace_s: 120, drain_s: 110}\n"
    )


def _image(chosen: Preset) -> str:
    ray, python = ours()
    image = f"rayproject/ray:{ray}-py{python.replace('.', '')}{'-gpu' if 'gpus' in chosen.worker else ''}"
    name = (
        f"  name: {image}   # add autotune and your project to it\n"
        if chosen.head
        else "  # name: /path/to/venv               # virtual environment; what is on the path when absent\n"
    )
    title = "image:                                # the versions of this machine\n"
    return f'{title}{name}  ray: "{ray}"\n  python: "{python}"\n'
