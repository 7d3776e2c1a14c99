"""KubeRay manifests: a RayJob for a study, or a long-lived RayCluster, and the policy of its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from autotune.cluster.description.places import Form, Kubernetes, Submission
from autotune.cluster.description.spec import ClusterSpec, Gcs, Group, Machine, Market
from autotune.cluster.render.common import DASHBOARD_PORT, PORT, head_of, switches, whole
from autotune.storage.location import Remote, locate

API: Final = "ray.io/v1"
LABEL: Final = "autotune.dev/cluster"  # on every pod of ours; a RayJob's cluster has a name made up later
QUEUE: Final = "kueue.x-k8s.io/queue-name"
GPU: Final = "nvidia.com/gpu"
RETRIES: Final = 2  # clusters after the first; each resumes the study from storage
KEPT_S: Final = 300  # that a finished job's cluster stays, to be looked at
STARTS_WITHIN_S: Final = 3600
USER: Final = 1000  # of the images rayproject/ray
CREDENTIALS: Final[Mapping[str, tuple[tuple[Any, ...], ...]]] = {  # address and ports, by kind of storage
    "gs": (("169.254.169.254", 80, 8080), ("169.254.169.252", 987, 988)),  # GKE, by its network's kind
    "s3": (("169.254.170.23", 80),),  # EKS Pod Identity
}


def kuberay(spec: ClusterSpec, where: Kubernetes) -> dict[str, Any]:
    """The RayJob or RayCluster; a pure function of a spec without findings."""
    metadata: dict[str, Any] = {"name": spec.name, "namespace": where.namespace, "labels": {LABEL: spec.name}}
    if where.queue is not None:
        metadata["labels"][QUEUE] = where.queue
    cluster = ray_cluster_spec(spec, where)
    if where.form is Form.CLUSTER:
        if where.queue is not None:
            cluster["suspend"] = True
        return {"apiVersion": API, "kind": "RayCluster", "metadata": metadata, "spec": cluster}
    interactive = where.submission is Submission.INTERACTIVE
    job: dict[str, Any] = {
        "submissionMode": where.submission.value,
        "backoffLimit": 0 if interactive else RETRIES,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": KEPT_S,
        "preRunningDeadlineSeconds": STARTS_WITHIN_S,
    }
    if where.entrypoint is not None:
        job["entrypoint"] = where.entrypoint
    if where.deadline_s is not None:
        job["activeDeadlineSeconds"] = where.deadline_s
    if where.queue is not None:
        job["suspend"] = True  # Kueue starts it
    job["rayClusterSpec"] = cluster
    return {"apiVersion": API, "kind": "RayJob", "metadata": metadata, "spec": job}


def ray_cluster_spec(spec: ClusterSpec, where: Kubernetes) -> dict[str, Any]:
    """The cluster alone, as both kinds have it."""
    head = head_of(spec)
    found: dict[str, Any] = {"rayVersion": spec.image.ray, "authOptions": {"mode": "token"}}
    if spec.authentication.secret_name is not None:
        found["authOptions"]["secretName"] = spec.authentication.secret_name
    if spec.authentication.tls:
        found["tlsOptions"] = {"enabled": True}
    if where.queue is None:
        found["enableInTreeAutoscaling"] = True
        found["autoscalerOptions"] = {
            "version": "v2",
            "upscalingMode": "Default",
            "idleTimeoutSeconds": round(60 * spec.nodes.recovery.idle_minutes),
        }
    if (ft := _fault_tolerance(spec)) is not None:
        found["gcsFaultToleranceOptions"] = ft
    found["headGroupSpec"] = {
        "serviceType": "ClusterIP",
        "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},  # no trial runs on the head
        "template": _pod(spec, head.machine, Market.ON_DEMAND, "ray-head"),
    }
    found["workerGroupSpecs"] = [_workers(spec, group, where.queue is None) for group in spec.nodes.groups]
    return found


def network_policy(spec: ClusterSpec, where: Kubernetes) -> dict[str, Any]:
    """Who may talk to the pods: each other, the operator and the submitter; out: names, TLS and Redis.

    A resource of its own: KubeRay's field `networkPolicy` needs a feature gate that is off by default.
    """
    mine = {"podSelector": {"matchLabels": {LABEL: spec.name}}}
    operator = [  # labels of the operator's own manifests, and of what Helm makes
        {
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {f"app.kubernetes.io/{label}": "kuberay-operator"}},
        }
        for label in ("component", "name")
    ]
    submitter = {
        "podSelector": {
            "matchLabels": {
                "ray.io/originated-from-crd": "RayJob",
                "ray.io/originated-from-cr-name": spec.name,
            }
        }
    }
    out: list[dict[str, Any]] = [
        {"to": [mine]},
        # names, which are answered by pods here, by the node itself there
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
        # object storage and Kubernetes' own API, whose addresses nobody knows beforehand
        _tcp(443, 6443, *_endpoints(spec)),
        *_credentials(spec),
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": spec.name, "namespace": where.namespace, "labels": {LABEL: spec.name}},
        "spec": {
            "podSelector": {"matchLabels": {LABEL: spec.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [mine]},
                {"from": [*operator, submitter], "ports": [{"port": DASHBOARD_PORT, "protocol": "TCP"}]},
            ],
            "egress": out,
        },
    }


def _tcp(*ports: int) -> dict[str, Any]:
    return {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}


def _endpoints(spec: ClusterSpec) -> list[int]:
    """Ports of Redis, and of a store that is not its cloud's own."""
    found = []
    if spec.nodes.recovery.redis is not None:
        found.append(int(spec.nodes.recovery.redis.address.rpartition(":")[2]))
    place = locate(spec.storage.path)
    endpoint = dict(place.options).get("endpoint") if isinstance(place, Remote) else None
    if endpoint is not None:
        parts = urlsplit(endpoint)
        found.append(parts.port or (443 if parts.scheme == "https" else 80))
    return [port for port in found if port not in (443, 6443)]


def _credentials(spec: ClusterSpec) -> list[dict[str, Any]]:
    """Where pods that have an identity are given credentials, beside what TLS reaches."""
    if spec.storage.identity is None:
        return []
    scheme = spec.storage.path.partition("://")[0]
    return [
        {"to": [{"ipBlock": {"cidr": f"{address}/32"}}], **_tcp(*ports)}
        for address, *ports in CREDENTIALS.get(scheme, ())
    ]


def _workers(spec: ClusterSpec, group: Group, grows: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "groupName": group.name,
        "replicas": group.count.min,
        "minReplicas": group.count.min,
        "maxReplicas": group.count.max,
        "rayStartParams": {},
        "template": _pod(spec, group.machine, group.market, "ray-worker"),
    }
    if grows:
        found["priority"] = group.priority
    return found


def _pod(spec: ClusterSpec, machine: Machine, market: Market, container: str) -> dict[str, Any]:
    amounts: dict[str, Any] = {"cpu": str(machine.cpus), "memory": f"{round(1024 * machine.memory_gib)}Mi"}
    if machine.gpus:
        amounts[GPU] = str(whole(machine.gpus))
    head = container == "ray-head"
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": spec.nodes.recovery.grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "fsGroup": USER,  # a volume's root is root's otherwise, that of RocksDB too
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": container,
                "image": spec.image.name,
                "env": [{"name": name, "value": value} for name, value in switches(spec).items()],
                "resources": {"requests": amounts, "limits": dict(amounts)},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    if head:
        pod["containers"][0]["ports"] = [
            {"containerPort": PORT, "name": "gcs-server"},
            {"containerPort": DASHBOARD_PORT, "name": "dashboard"},
        ]
    if spec.storage.identity is not None:
        pod["serviceAccountName"] = spec.storage.identity
    if not head:  # the head's account may change the cluster, for its autoscaler; a trial's code must not
        pod["automountServiceAccountToken"] = False
    if machine.labels:
        pod["nodeSelector"] = dict(machine.labels)
    if tolerations := _tolerations(machine, market):
        pod["tolerations"] = tolerations
    return {"metadata": {"labels": {LABEL: spec.name}}, "spec": pod}


def _tolerations(machine: Machine, market: Market) -> list[dict[str, str]]:
    """Providers taint spot nodes with their own label, and GPU nodes with the name of the resource."""
    found = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}] if machine.gpus else []
    if market is Market.SPOT:
        found += [
            {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
            for key, value in machine.labels.items()
        ]
    return found


def _fault_tolerance(spec: ClusterSpec) -> dict[str, Any] | None:
    given = spec.nodes.recovery
    if given.gcs is Gcs.ROCKSDB:
        return {"backend": "rocksdb", "storage": {"size": "1Gi"}}
    if given.redis is None:
        return None
    found: dict[str, Any] = {"backend": "redis", "redisAddress": given.redis.address}
    if given.redis.secret_name is not None:
        reference = {"name": given.redis.secret_name, "key": "password"}
        found["redisPassword"] = {"valueFrom": {"secretKeyRef": reference}}
    return found
