"""What KubeRay's operator refuses in a RayJob itself, and in the names of both kinds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from autotune.cluster.description.findings import Finding
from autotune.cluster.description.places import Submission
from autotune.cluster.description.secret_scan import find_secrets
from autotune.errors import unknown

LONGEST: Final = {"RayCluster": 53, "RayJob": 47}
LABEL: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def named(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Pods and services are named after it."""
    given, longest = manifest.get("metadata", {}).get("name"), LONGEST[manifest["kind"]]
    if given is not None and (not LABEL.fullmatch(given) or len(given) > longest):
        yield Finding(
            "name",
            "metadata.name",
            f"{given!r} cannot be the name of a {manifest['kind']}",
            f"use at most {longest} lower-case letters, digits and hyphens, a letter first",
        )


def job_rules(job: Mapping[str, Any]) -> Iterator[Finding]:
    """A RayJob's own fields."""
    mode = job.get("submissionMode", Submission.K8S_JOB.value)
    known = [one.value for one in Submission]
    if mode not in known:
        yield Finding("submission", "spec.submissionMode", unknown("value", str(mode), known), "write it so")
    selected, cluster = job.get("clusterSelector"), job.get("rayClusterSpec")
    if not selected and cluster is None:
        yield Finding("job", "spec", "the job has no cluster", "give rayClusterSpec, or a clusterSelector")
    retries = job.get("backoffLimit", 0)
    if retries and (selected or mode == Submission.INTERACTIVE.value):
        yield Finding(
            "job",
            "spec.backoffLimit",
            f"{'a selected cluster' if selected else mode} has no second attempt",
            "remove backoffLimit",
        )
    if selected and (job.get("suspend") or mode == Submission.SIDECAR.value):
        yield Finding(
            "job",
            "spec.clusterSelector",
            "a selected cluster is not suspended and has no sidecar",
            "give rayClusterSpec instead",
        )
    if selected and not selected.get("ray.io/cluster"):
        yield Finding("job", "spec.clusterSelector", "it selects no cluster", "give `ray.io/cluster: NAME`")
    if job.get("suspend") and not job.get("shutdownAfterJobFinishes"):
        yield Finding(
            "job",
            "spec.suspend",
            "a job that keeps its cluster cannot be suspended",
            "set shutdownAfterJobFinishes: true",
        )
    if mode == Submission.SIDECAR.value and (job.get("submitterPodTemplate") or job.get("submitterConfig")):
        yield Finding(
            "job",
            "spec.submissionMode",
            "a sidecar has no pod or settings of its own",
            "remove submitterPodTemplate and submitterConfig",
        )
    for name, low in (
        ("activeDeadlineSeconds", 1),
        ("preRunningDeadlineSeconds", 1),
        ("backoffLimit", 0),
        ("ttlSecondsAfterFinished", 0),
    ):
        if (value := job.get(name)) is not None and value < low:
            yield Finding("job", f"spec.{name}", f"{value} is out of range", f"use at least {low}")
    try:
        environment = yaml.safe_load(job.get("runtimeEnvYAML") or "{}")
    except yaml.YAMLError:
        yield Finding("job", "spec.runtimeEnvYAML", "it is not YAML", "write a mapping")
    else:
        yield from find_secrets(environment, "spec.runtimeEnvYAML")
