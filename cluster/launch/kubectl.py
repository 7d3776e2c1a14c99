"""KubeRay's resources through kubectl."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, final

from autotune.cluster.description.places import Form, Kubernetes
from autotune.cluster.launch.launcher import Seen, State
from autotune.cluster.launch.program import forwarding, run
from autotune.cluster.render.common import DASHBOARD_PORT
from autotune.errors import ClusterError

ENDED: Final = ("Complete", "Failed")
TOKEN: Final = (  # the operator gives pods the token in Ray's variable, and our checks read a file
    "umask 077; mkdir -p ~/.ray; "
    'if [ -n "${RAY_AUTH_TOKEN:-}" ]; then printf %s "$RAY_AUTH_TOKEN" > ~/.ray/auth_token; fi; '
)


@final
class Kubectl:
    """Applies the manifest and deletes it.

    Args:
        name: Of the cluster.
        where: Its namespace and form.
        folder: Of the manifest.
    """

    def __init__(self, name: str, where: Kubernetes, folder: Path) -> None:
        self._kind = "rayjob" if where.form is Form.JOB else "raycluster"
        self._name, self._space = name, f"--namespace={where.namespace}"
        self._file = str(folder / f"{self._kind}.yaml")

    def look(self) -> Seen:
        """What the operator says of it."""
        found = self._get()
        return Seen(State.ABSENT) if found is None else seen(found)

    def start(self) -> None:
        """`kubectl apply`; the operator does the rest. A job that has ended makes room first."""
        if self._get() is not None:
            self.stop()
        run(["kubectl", "apply", "-f", self._file])

    def stop(self) -> None:
        """`kubectl delete`, which waits until it is gone."""
        if Path(self._file).exists():
            run(["kubectl", "delete", "--ignore-not-found", "-f", self._file], 600.0)

    def on_head(self, line: str, patience_s: float) -> str:
        """In the head's pod."""
        shell = ["--container=ray-head", "--", "bash", "-c", TOKEN + line]
        return run(["kubectl", "exec", self._space, self._service(), *shell], patience_s)

    def door(self) -> AbstractContextManager[str]:
        """A tunnel through Kubernetes' own API, which the network's policy does not stand in the way of."""
        command = ["kubectl", "port-forward", self._space, self._service()]
        return forwarding(lambda port: [*command, f"{port}:{DASHBOARD_PORT}"])

    def _get(self) -> dict[str, Any] | None:
        asked = ["kubectl", "get", self._kind, self._name, self._space]
        said = run([*asked, "--ignore-not-found", "--output=json"])
        found: dict[str, Any] | None = json.loads(said) if said.strip() else None
        return found

    def _service(self) -> str:
        found = self._get()
        if found is None:
            raise ClusterError(f"there is no {self._kind} {self._name!r}; `autotune cluster up` makes it")
        name = found.get("status", {}).get("rayClusterName") or self._name  # a RayJob's has another name
        return f"service/{name}-head-svc"


def seen(resource: dict[str, Any]) -> Seen:
    """The state in a RayJob's or a RayCluster's status.

    >>> seen({"status": {"jobDeploymentStatus": "Initializing"}}).state.value
    'starting'
    >>> seen({"status": {"state": "ready"}}).state.value
    'up'
    """
    status = resource.get("status") or {}
    said = str(status.get("jobDeploymentStatus") or status.get("state") or "not seen by the operator yet")
    if said in ENDED:
        return Seen(State.ABSENT, f"the job is {said}: {status.get('message', '')}".rstrip(": "))
    return Seen(State.UP if said in ("Running", "ready") else State.STARTING, said)
