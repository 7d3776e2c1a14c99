"""A spec as the files that its launcher reads."""

from __future__ import annotations

import json
from typing import Any

import yaml

from autotune.cluster.description.findings import refuse
from autotune.cluster.description.places import AWS, GCP, Form, Kubernetes, Local, Slurm
from autotune.cluster.description.spec import ClusterSpec
from autotune.cluster.lint.rules import lint
from autotune.cluster.render.aws_foundation import aws_foundation
from autotune.cluster.render.common import header
from autotune.cluster.render.kuberay import kuberay, network_policy
from autotune.cluster.render.ray_up import ray_up
from autotune.cluster.render.scripts import gcp_foundation, local, slurm


def render(spec: ClusterSpec) -> dict[str, str]:
    """Text by name of file; a pure function.

    Raises:
        ConfigurationError: With every finding of the spec that does not only wait for the start.
    """
    refuse(lint(spec))
    match spec.where:
        case Kubernetes() as where:
            name = "rayjob.yaml" if where.form is Form.JOB else "raycluster.yaml"
            return {name: _yaml(spec, "manifest", network_policy(spec, where), kuberay(spec, where))}
        case Slurm() as where:
            return {"job.sbatch": slurm(spec, where)}
        case Local() as where:
            return {"start.sh": local(spec, where)}
        case AWS() as where:
            foundation = json.dumps(aws_foundation(spec, where), indent=2) + "\n"
            return {"cluster.yaml": _yaml(spec, "`ray up` file", ray_up(spec)), "foundation.json": foundation}
        case GCP() as where:
            return {
                "cluster.yaml": _yaml(spec, "`ray up` file", ray_up(spec)),
                "foundation.sh": gcp_foundation(spec, where),
            }
        case _:
            return {"cluster.yaml": _yaml(spec, "`ray up` file", ray_up(spec))}


class _Dumper(yaml.SafeDumper):
    """Writes a value that occurs twice twice: launchers and people read no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(spec: ClusterSpec, what: str, *documents: dict[str, Any]) -> str:
    text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110)
    return header(spec, what) + text
