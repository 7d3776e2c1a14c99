"""Everything that can be known to be wrong with a spec before money is spent."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from autotune.cluster.description.findings import PLACEHOLDER, Finding
from autotune.cluster.description.places import Kubernetes, Local, Slurm
from autotune.cluster.description.spec import ClusterSpec
from autotune.cluster.lint.nodes import cheapest
from autotune.cluster.lint.rules import lint
from autotune.cluster.render.files import render
from autotune.cluster.render.kuberay import kuberay
from autotune.cluster.render.ray_up import ray_up
from autotune.cluster.validate.crd import crd
from autotune.cluster.validate.operator_rules import operator_rules
from autotune.cluster.validate.ray_schema import ray_schema
from autotune.cluster.validate.ray_up_rules import ray_up_rules

ORIGINS: Final = (  # of what stands in a rendered file, in the spec
    (re.compile(r"workerGroupSpecs\[(\d+)\]"), "nodes.groups[{}]"),
    (re.compile(r"headGroupSpec"), "nodes.head"),
    (re.compile(r"autoscalerOptions|idle_timeout|gcsFaultTolerance"), "nodes.recovery"),
    (re.compile(r"authOptions|tlsOptions|file_mounts"), "authentication"),
    (re.compile(r"rayVersion"), "image.ray"),
    (re.compile(r"^docker|setup_commands"), "image"),
    (re.compile(r"metadata\.name|cluster_name"), "name"),
)


def validate(spec: ClusterSpec, crds: Path | None = None) -> list[Finding]:
    """Findings of our rules, then of the launcher's over what is rendered; without a cloud or a cluster.

    Args:
        spec: The second part is left out where the first finds anything wrong.
        crds: Folder of KubeRay's definitions; None leaves their check out.
    """
    found = lint(spec)
    if any(not one.waits for one in found):
        return found
    rendered: list[Finding]
    match spec.where:
        case Kubernetes() as where:
            manifest = kuberay(spec, where)
            rendered = operator_rules(manifest) + (crd(manifest, crds) if crds is not None else [])
        case Slurm() | Local():
            rendered = [one for name, text in render(spec).items() for one in _shell(name, text)]
        case _:
            config = ray_up(spec)
            rendered = ray_schema(config) + ray_up_rules(config)
    return found + [_traced(one, spec) for one in rendered]


def checks(spec: ClusterSpec, crds: Path | None = None) -> list[str]:
    """Names of what `validate` looks at, so that nobody takes what was not checked for checked."""
    match spec.where:
        case Kubernetes():
            return ["spec", "operator rules", *(["KubeRay's definitions"] if crds is not None else [])]
        case Slurm() | Local():
            return ["spec", "shell syntax"]
        case _:
            return ["spec", "Ray's schema", "rules for `ray up`"]


def token_file(spec: ClusterSpec) -> Iterator[Finding]:
    """The token's file is there, holds something, and is private; only this reads the machine."""
    name = spec.authentication.token_file
    if name is None or isinstance(spec.where, Kubernetes):
        return
    path, at = Path(name).expanduser(), "authentication.token_file"
    if not path.is_file() or path.stat().st_size == 0:
        yield Finding(
            "token",
            at,
            f"there is no token in {name}",
            "make one with `(umask 077; ray get-auth-token --generate)`",
            waits=True,
        )
    elif path.stat().st_mode & 0o077:
        yield Finding(
            "token", at, f"others may read {name}", f"make it private with `chmod 600 {name}`", waits=True
        )


def budget(spec: ClusterSpec, limits: Mapping[str, float | None]) -> Iterator[Finding]:
    """A budget that not even one trial fits in, where the spec says how long one takes.

    Args:
        spec: Its trial's `hours` and its prices are read.
        limits: Of a study's budget, by name.
    """
    needed, price = spec.nodes.trial.hours, cheapest(spec)
    if needed is None:
        return
    for name in ("hours", "wall", "gpu_hours"):
        given = limits.get(name)
        if given is not None and given < needed:
            yield Finding(
                "budget",
                "nodes.trial.hours",
                f"one trial takes {needed:g} h, the budget is {name}={given:g}",
                "give more hours, or correct nodes.trial.hours",
            )
    money = limits.get("usd")
    if money is not None and price is not None and money < price * needed:
        yield Finding(
            "budget",
            "nodes.trial.hours",
            f"one trial costs at least {price * needed:.4g}, the budget is usd={money:g}",
            "give more, or take a cheaper machine",
        )


def _traced(one: Finding, spec: ClusterSpec) -> Finding:
    """A finding in a rendered file, at what it was rendered from."""
    problem = f"{one.problem} (rendered as {one.path})" if one.path else one.problem
    return dataclasses.replace(one, path=origin(one.path, spec), problem=problem)


def origin(path: str, spec: ClusterSpec) -> str:
    """Where in the spec something in a rendered file comes from; `where` for the place's own."""
    named: dict[str, Any] = {group.name: f"nodes.groups[{k}]" for k, group in enumerate(spec.nodes.groups)}
    parts = path.split(".")
    if parts[0] == "available_node_types" and len(parts) > 1:
        return str(named.get(parts[1], "nodes.head"))
    for pattern, source in ORIGINS:
        if (found := pattern.search(path)) is not None:
            return source.format(*found.groups())
    return "where"


def _shell(name: str, text: str) -> Iterator[Finding]:
    if (bash := shutil.which("bash")) is None:
        return
    done = subprocess.run(
        [bash, "-n"], input=PLACEHOLDER.sub("x", text), capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1]
        yield Finding("shell", "", f"{name} is no valid script: {said}", "check the commands in the spec")
