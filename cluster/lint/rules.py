"""What no schema says about a cluster: all rules over its spec; none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from autotune.cluster.description.findings import Finding
from autotune.cluster.description.spec import ClusterSpec
from autotune.cluster.lint import nodes, places, software

RULES: Final[tuple[Callable[[ClusterSpec], Iterator[Finding]], ...]] = (
    nodes.names,
    nodes.numbers,
    nodes.whole_gpus,
    nodes.trial_fits,
    nodes.spot,
    software.image,
    software.recovery,
    software.storage,
    software.authentication,
    software.secrets,
    software.placeholders,
    places.shapes,
    places.instances,
    places.network,
    places.subnets,
    places.one_group,
    places.ports,
    places.slurm,
    places.kubernetes,
)


def lint(spec: ClusterSpec) -> list[Finding]:
    """Every finding of every rule."""
    return [one for rule in RULES for one in rule(spec)]
