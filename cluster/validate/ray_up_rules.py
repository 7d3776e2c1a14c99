"""What Ray's schema does not see in a `ray up` file: networks, roles, spot, images, the dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from autotune.cluster.description.findings import Finding, leaves
from autotune.cluster.description.secret_scan import find_secrets

WORLD: Final = ("0.0.0.0/0", "::/0", "*")
NIGHTLY: Final = re.compile(r"ray-wheels/latest|\.dev0|:(latest|nightly)\b")
DASHBOARD: Final = re.compile(r"--dashboard-host[= ](\S+)")
SPOT: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "aws": lambda node: "InstanceMarketOptions" in node,
    "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
    "azure": lambda node: node.get("azure_arm_parameters", {}).get("priority") == "Spot",
}

Rule = Callable[[dict[str, Any]], Iterator[Finding]]


def ray_up_rules(config: dict[str, Any]) -> list[Finding]:
    """Every finding of every rule; paths are those of the file."""
    return [one for rule in RULES for one in rule(config)]


def world(config: dict[str, Any]) -> Iterator[Finding]:
    """Nothing is open to the world."""
    for path, value in leaves(config):
        if value in WORLD:
            yield Finding(
                "world", path, f"{value} lets in the whole world", "name the network that you come from"
            )


def dashboard(config: dict[str, Any]) -> Iterator[Finding]:
    """Ray's defaults put the dashboard on every interface; so the command must be there and say loopback."""
    commands = " ".join(config.get("head_start_ray_commands", ()))
    hosts = DASHBOARD.findall(commands)
    if hosts not in (["127.0.0.1"], ["localhost"]):
        yield Finding(
            "dashboard",
            "head_start_ray_commands",
            f"the dashboard listens on {', '.join(hosts) or 'what Ray chooses'}",
            "start the head with --dashboard-host=127.0.0.1; `ray dashboard` forwards it by SSH",
        )


def token(config: dict[str, Any]) -> Iterator[Finding]:
    """Without the switch, and a token on every node, Ray runs what anybody sends it."""
    said = " ".join(str(value) for _, value in leaves(config))
    if "RAY_AUTH_MODE=token" not in said:
        yield Finding("token", "docker", "authentication is off", "set RAY_AUTH_MODE=token on every node")
    if not any("auth_token" in place for place in config.get("file_mounts", {})):
        yield Finding(
            "token", "file_mounts", "nodes have no token", "mount its file at ~/.ray/auth_token on every node"
        )


def pinned(config: dict[str, Any]) -> Iterator[Finding]:
    """No nightly wheels, no moving images, and no machine image that Ray picks."""
    for path, value in leaves(config):
        if isinstance(value, str) and NIGHTLY.search(value):
            yield Finding(
                "pinned", path, f"{value!r} is something else tomorrow", "name a version or a digest"
            )
    if "setup_commands" not in config and config["provider"]["type"] != "local":
        yield Finding(
            "pinned",
            "",
            "Ray's default setup_commands install a nightly wheel",
            "give setup_commands, if empty",
        )
    for path, _, node in _nodes(config):
        if config["provider"]["type"] == "aws" and "ImageId" not in node:
            yield Finding("pinned", path, "Ray would take its default machine image", "give ImageId")


def spot_on_workers(config: dict[str, Any]) -> Iterator[Finding]:
    """The head must not be reclaimed."""
    is_spot = SPOT.get(config["provider"]["type"])
    for path, name, node in _nodes(config):
        if is_spot is not None and name == config.get("head_node_type") and is_spot(node):
            yield Finding("spot-head", path, "the head is a spot machine", "buy it on demand")


def region(config: dict[str, Any]) -> Iterator[Finding]:
    """Ray's defaults have regions of their own."""
    given = config["provider"]
    wanted = {"aws": "region", "gcp": "availability_zone", "azure": "location"}.get(given["type"])
    if wanted is not None and not given.get(wanted):
        yield Finding("region", f"provider.{wanted}", "Ray would choose one itself", "name yours")


def aws(config: dict[str, Any]) -> Iterator[Finding]:
    """What Ray makes itself on AWS is open: the group, the role, the metadata service."""
    if config["provider"]["type"] != "aws":
        return
    for path, name, node in _nodes(config):
        if node.get("MetadataOptions", {}).get("HttpTokens") != "required":
            yield Finding(
                "imdsv2",
                f"{path}.MetadataOptions",
                "any process that fetches a page can read the role's credentials",
                "set HttpTokens: required",
            )
        if not node.get("SecurityGroupIds"):
            yield Finding(
                "security-group",
                path,
                "Ray would make a security group with SSH open to the world",
                "give SecurityGroupIds",
            )
        if name == config.get("head_node_type") and "IamInstanceProfile" not in node:
            yield Finding(
                "role",
                path,
                "Ray would make a role with all rights on EC2 and S3",
                "give IamInstanceProfile with the rights of the rendered foundation.json",
            )
        if "InstanceType" not in node:
            yield Finding("instance", path, "there is no instance type", "give InstanceType")


def azure(config: dict[str, Any]) -> Iterator[Finding]:
    """Ray's template lets SSH in from everywhere; only the lack of public addresses closes it."""
    given = config["provider"]
    if given["type"] == "azure" and not (
        given.get("use_internal_ips") and not given.get("use_external_head_ip")
    ):
        yield Finding(
            "world",
            "provider.use_internal_ips",
            "SSH would be open to the world",
            "set use_internal_ips: true",
        )


def secrets(config: dict[str, Any]) -> Iterator[Finding]:
    """No value is a secret."""
    yield from find_secrets(config)


def _nodes(config: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, name and machine of every node type."""
    for name, kind in config.get("available_node_types", {}).items():
        yield f"available_node_types.{name}.node_config", name, kind.get("node_config", {})


RULES: Final[tuple[Rule, ...]] = (
    world,
    dashboard,
    token,
    pinned,
    spot_on_workers,
    region,
    aws,
    azure,
    secrets,
)
