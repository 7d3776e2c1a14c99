"""Machines as AWS, GCP and Azure are asked for them."""

from __future__ import annotations

from typing import Any, Final

from autotune.cluster.description.places import AWS, GCP, Azure, OnPremises
from autotune.cluster.description.spec import ClusterSpec, Machine, Market
from autotune.errors import ConfigurationError

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"  # what it may do is the account's roles


def provider(spec: ClusterSpec) -> dict[str, Any]:
    """The `provider` section."""
    match spec.where:
        case AWS(region=region):
            return {"type": "aws", "region": region, "cache_stopped_nodes": False}
        case GCP(project=project, zone=zone):
            return {
                "type": "gcp",
                "region": zone.rpartition("-")[0],
                "availability_zone": zone,
                "project_id": project,
                "cache_stopped_nodes": False,
            }
        case Azure(location=location, resource_group=group, subscription=subscription):
            return {
                "type": "azure",
                "location": location,
                "resource_group": group,
                "subscription_id": subscription,
                "use_internal_ips": True,  # Ray lets SSH in from everywhere: no node has a public address
                "cache_stopped_nodes": False,
            }
        case OnPremises(head=head, hosts=hosts):
            return {"type": "local", "head_ip": head, "worker_ips": list(hosts)}
    raise ConfigurationError(
        f"`ray up` starts no clusters on {spec.where.tag}; see `autotune cluster render`"
    )


def node_config(spec: ClusterSpec, machine: Machine, market: Market, head: bool) -> dict[str, Any]:
    """One machine, in its provider's words."""
    is_spot = market is Market.SPOT
    match spec.where:
        case AWS():
            return _aws(
                spec.where, machine, is_spot, spec.where.head_profile if head else spec.storage.identity
            )
        case GCP():
            account = spec.where.head_account if head else spec.storage.identity
            return _gcp(spec, spec.where, machine, is_spot, account)
        case Azure():
            return _azure(spec.where, machine, is_spot)
    raise ConfigurationError(f"{spec.where.tag} has no instance types; remove `instance`")


def _aws(where: AWS, machine: Machine, is_spot: bool, profile: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "InstanceType": machine.instance,
        "ImageId": where.ami,
        "SubnetIds": list(where.subnets),
        "SecurityGroupIds": [where.security_group],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,  # containers use the host's network
        },
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {
                    "VolumeSize": machine.disk_gib,
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
    }
    if profile is not None:
        config["IamInstanceProfile"] = {"Name": profile}
    if is_spot:
        config["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        }
    return config


def _gcp(
    spec: ClusterSpec, where: GCP, machine: Machine, is_spot: bool, account: str | None
) -> dict[str, Any]:
    scheduling: dict[str, Any] = {"onHostMaintenance": "TERMINATE" if machine.gpus or is_spot else "MIGRATE"}
    if is_spot:
        scheduling |= {
            "provisioningModel": "SPOT",
            "instanceTerminationAction": "DELETE",
            "automaticRestart": False,
        }
    config: dict[str, Any] = {
        "machineType": machine.instance,
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "type": "PERSISTENT",
                "initializeParams": {"diskSizeGb": machine.disk_gib, "sourceImage": where.image},
            }
        ],
        "networkInterfaces": [
            {
                "subnetwork": where.subnetwork,
                "accessConfigs": [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}],
            }
        ],
        "tags": {
            "items": [spec.name]  # which the firewall's rules are bound to
        },
        "shieldedInstanceConfig": {"enableVtpm": True, "enableIntegrityMonitoring": True},
        "scheduling": scheduling,
    }
    if account is not None:
        config["serviceAccounts"] = [{"email": account, "scopes": [SCOPE]}]
    return config


def _azure(where: Azure, machine: Machine, is_spot: bool) -> dict[str, Any]:
    publisher, offer, sku, version = where.image.split(":")
    parameters: dict[str, Any] = {
        "vmSize": machine.instance,
        "imagePublisher": publisher,
        "imageOffer": offer,
        "imageSku": sku,
        "imageVersion": version,
        "osDiskSize": machine.disk_gib,
    }
    if is_spot:
        parameters |= {"priority": "Spot", "evictionPolicy": "Delete", "billingProfile": {"maxPrice": -1}}
    return {"azure_arm_parameters": parameters}
