"""How Ray's autoscaler asks the fake cloud for machines: `provider: {type: external, module: ...}`."""

from __future__ import annotations

from typing import Any

from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_HEAD,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

from .cloud import HEAD_ID, HEAD_TYPE, ask


class FakeCloudProvider(NodeProvider):
    """Keeps nothing; every question goes to the cloud."""

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        """Those with these tags."""
        wanted = tag_filters.items()
        return [name for name, machine in self._all().items() if wanted <= machine["tags"].items()]

    def is_running(self, node_id: str) -> bool:
        """Whether it has not ended."""
        return node_id in self._all()

    def is_terminated(self, node_id: str) -> bool:
        """Whether it has."""
        return node_id not in self._all()

    def node_tags(self, node_id: str) -> dict[str, str]:
        """What the autoscaler remembers of it."""
        tags: dict[str, str] = self._all()[node_id]["tags"]
        return tags

    def external_ip(self, node_id: str) -> str:
        """The only one it has."""
        return str(self._all()[node_id]["ip"])

    internal_ip = external_ip

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        """Remember something of it."""
        if node_id != HEAD_ID:
            self._ask("tag", name=node_id, tags=tags)

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        """Ask for machines; there is nobody to set them up, so they count as ready."""
        given = {**tags, TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}
        self._ask("create", kind=tags[TAG_RAY_USER_NODE_TYPE], tags=given, count=count)

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: Any, count: int, resources: Any, labels: Any
    ) -> None:
        """The same: every machine has one slot."""
        self.create_node(node_config, tags, count)

    def terminate_node(self, node_id: str) -> None:
        """End it."""
        self._ask("terminate", name=node_id)

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Nothing to prepare."""
        return cluster_config

    def _all(self) -> dict[str, dict[str, Any]]:
        tags = {
            TAG_RAY_NODE_KIND: NODE_KIND_HEAD,
            TAG_RAY_USER_NODE_TYPE: HEAD_TYPE,
            TAG_RAY_NODE_NAME: "head",
            TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE,
        }
        return {**self._ask("list"), HEAD_ID: {"ip": self.provider_config["head"], "tags": tags}}

    def _ask(self, op: str, **given: Any) -> Any:
        return ask(self.provider_config["socket"], op, **given)
