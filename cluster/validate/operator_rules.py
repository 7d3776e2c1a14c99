"""What KubeRay's operator refuses though its schema lets it pass, and what we refuse on top."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from autotune.cluster.description.findings import Finding
from autotune.cluster.description.secret_scan import find_secrets
from autotune.cluster.validate.operator_job import LABEL, job_rules, named

BY_START: Final = ("num-cpus", "num-gpus", "memory", "resources")
V2: Final = "RAY_enable_autoscaler_v2"
DRAIN: Final = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"

Rule = Callable[[Mapping[str, Any], Mapping[str, Any], str], Iterator[Finding]]


def operator_rules(manifest: Mapping[str, Any]) -> list[Finding]:
    """Every finding of every rule, over a RayJob or a RayCluster that fits its schema."""
    spec = manifest.get("spec", {})
    cluster, at = (spec.get("rayClusterSpec"), "spec.rayClusterSpec") if _is_job(manifest) else (spec, "spec")
    found = list(named(manifest))
    if _is_job(manifest):
        found += job_rules(spec)
    if cluster is not None:
        found += [one for rule in RULES for one in rule(cluster, spec, at)]
    return found + list(find_secrets(dict(manifest)))


def _is_job(manifest: Mapping[str, Any]) -> bool:
    return manifest.get("kind") == "RayJob"


def _groups(cluster: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield f"{at}.headGroupSpec", cluster["headGroupSpec"]
    for k, group in enumerate(cluster.get("workerGroupSpecs", ())):
        yield f"{at}.workerGroupSpecs[{k}]", group


def groups(cluster: Mapping[str, Any], job: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """Containers, sizes and names of the groups."""
    for path, group in _groups(cluster, at):
        start = group.get("rayStartParams") or {}
        if not group.get("template", {}).get("spec", {}).get("containers"):
            yield Finding("group", f"{path}.template", "there is no container", "describe one")
        if group.get("resources") and any(start.get(name) for name in BY_START):
            yield Finding(
                "group", f"{path}.resources", "resources are given twice", "keep rayStartParams or resources"
            )
        if "labels" in start:
            yield Finding(
                "group", f"{path}.rayStartParams.labels", "labels have a field of their own", "move them"
            )
    for k, group in enumerate(cluster.get("workerGroupSpecs", ())):
        path = f"{at}.workerGroupSpecs[{k}]"
        low, high = group.get("minReplicas"), group.get("maxReplicas")
        if (low or 0) < 0 or (high is not None and (low or 0) > high):
            yield Finding("group", f"{path}.minReplicas", f"{low} is not between 0 and {high}", "correct it")
        if group.get("suspend") and cluster.get("enableInTreeAutoscaling"):
            yield Finding("group", f"{path}.suspend", "the autoscaler wakes no suspended group", "remove it")
        if cluster.get("networkPolicy") and not LABEL.fullmatch(str(group.get("groupName"))):
            yield Finding(
                "group", f"{path}.groupName", "it cannot be part of a policy's name", "use a plain label"
            )


def autoscaler(cluster: Mapping[str, Any], job: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """Version 2 alone knows priorities and idle times of groups, and restarts no pod."""
    options = cluster.get("autoscalerOptions") or {}
    grows = bool(cluster.get("enableInTreeAutoscaling"))
    second = grows and options.get("version") == "v2"
    if _environment(cluster["headGroupSpec"]).get(V2) in ("1", "true") and (
        not grows or options.get("version")
    ):
        yield Finding(
            "autoscaler",
            f"{at}.headGroupSpec",
            f"{V2} contradicts the fields",
            "use autoscalerOptions.version",
        )
    for k, group in enumerate(cluster.get("workerGroupSpecs", ())):
        for name in ("priority", "idleTimeoutSeconds"):
            if group.get(name) and not second:
                yield Finding(
                    "autoscaler",
                    f"{at}.workerGroupSpecs[{k}].{name}",
                    f"{name} needs autoscaler v2",
                    "set enableInTreeAutoscaling: true and autoscalerOptions.version: v2",
                )
    for path, group in _groups(cluster, at):
        policy = group.get("template", {}).get("spec", {}).get("restartPolicy")
        if second and policy not in (None, "", "Never"):
            yield Finding(
                "autoscaler", f"{path}.template", f"autoscaler v2 restarts no pods, not {policy}", "use Never"
            )
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield Finding(
            "autoscaler", f"{at}.autoscalerOptions.idleTimeoutSeconds", "it is negative", "use at least 0"
        )


def fault_tolerance(cluster: Mapping[str, Any], job: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """Redis and RocksDB have fields of their own, and the operator sets the environment."""
    given, path = cluster.get("gcsFaultToleranceOptions"), f"{at}.gcsFaultToleranceOptions"
    head = _environment(cluster["headGroupSpec"])
    if given is None:
        return
    for name in (
        "RAY_REDIS_ADDRESS",
        "REDIS_PASSWORD",
        "REDIS_USERNAME",
        "RAY_gcs_storage",
        "RAY_gcs_storage_path",
    ):
        if name in head:
            yield Finding("gcs", f"{at}.headGroupSpec", f"{name} is the operator's to set", "remove it")
    rocksdb = given.get("backend") == "rocksdb"
    of_redis = [name for name in given if name.startswith("redis") or name == "externalStorageNamespace"]
    if rocksdb and of_redis:
        yield Finding("gcs", path, f"{of_redis[0]} is not RocksDB's", "remove it, or use backend: redis")
    if not rocksdb and "storage" in given:
        yield Finding("gcs", path, "storage is not Redis's", "remove it, or use backend: rocksdb")
    kept = given.get("storage") or {}
    if kept.get("claimName") and {"size", "storageClassName", "accessModes"} & set(kept):
        yield Finding(
            "gcs", f"{path}.storage", "a claim that is there has its size already", "keep claimName alone"
        )


def authentication(cluster: Mapping[str, Any], job: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """Off by default in KubeRay; on, here, always."""
    given = cluster.get("authOptions") or {}
    if given.get("mode") != "token":
        yield Finding(
            "token", f"{at}.authOptions", "whoever reaches the cluster may run code on it", "set mode: token"
        )
        return
    numbers = re.findall(r"\d+", str(cluster.get("rayVersion", "")))
    if tuple(map(int, numbers[:2])) < (2, 52):
        yield Finding(
            "token", f"{at}.rayVersion", "tokens need Ray 2.52 or later, named here", "name the version"
        )
    if given.get("enableK8sTokenAuth") and (given.get("secretName") or "submissionMode" in job):
        yield Finding(
            "token", f"{at}.authOptions", "Kubernetes' tokens need no secret, and serve no RayJob", "drop it"
        )


def draining(cluster: Mapping[str, Any], job: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """Ray must be done draining before the pod is killed."""
    for path, group in _groups(cluster, at):
        drain = float(_environment(group).get(DRAIN, 30))
        grace = group.get("template", {}).get("spec", {}).get("terminationGracePeriodSeconds", 30)
        if drain >= grace:
            yield Finding(
                "grace",
                f"{path}.template",
                f"draining for {drain:g} s does not end before the pod does, after {grace:g} s",
                f"set terminationGracePeriodSeconds above {DRAIN}, such as 120 and 110",
            )


def whole_gpus(cluster: Mapping[str, Any], job: Mapping[str, Any], at: str) -> Iterator[Finding]:
    """Kubernetes gives out whole GPUs; the schema takes any quantity."""
    for path, group in _groups(cluster, at):
        for container in group.get("template", {}).get("spec", {}).get("containers", ()):
            for amounts in container.get("resources", {}).values():
                gpus = amounts.get("nvidia.com/gpu", 0) if isinstance(amounts, Mapping) else 0
                if not str(gpus).isdigit():
                    yield Finding(
                        "whole-gpus",
                        f"{path}.template",
                        f"a pod cannot have {gpus} GPUs",
                        "let trials share one",
                    )


def _environment(group: Mapping[str, Any]) -> dict[str, str]:
    containers = group.get("template", {}).get("spec", {}).get("containers") or [{}]
    return {one["name"]: str(one.get("value", "")) for one in containers[0].get("env", ())}


RULES: Final[tuple[Rule, ...]] = (
    groups,
    autoscaler,
    fault_tolerance,
    authentication,
    draining,
    whole_gpus,
)
