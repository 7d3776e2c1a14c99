"""Spot first, on demand where there is none: what Ray's own autoscaler decides from what we render."""

import pytest
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from specs import change, spec_of

from autotune.cluster.render.kuberay import kuberay
from autotune.cluster.render.ray_up import ray_up

TRIAL = {"CPU": 4, "GPU": 1}


def wanted(config, trials, available):
    """How many machines of each group are asked for so that many trials fit.

    Args:
        available: By group, from 0 (the cloud has just refused one) to 1.
    """
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=AutoscalingConfig(config, skip_content_hash=True).get_node_type_configs(),
        max_num_nodes=config["max_workers"],
        resource_requests=ResourceRequestUtil.group_by_count(
            [ResourceRequestUtil.make(TRIAL) for _ in range(trials)]
        ),
        recoverable_resource_availabilities=available,
    )
    launches = ResourceDemandScheduler().schedule(request).to_launch
    return {one.instance_type: one.count for one in launches if one.instance_type != config["head_node_type"]}


@pytest.mark.parametrize("on", ["aws", "gcp", "azure"])
def test_spot_machines_are_asked_for_first_and_others_when_there_are_none(on):
    spec = spec_of(on, spot=True)
    assert wanted(ray_up(spec), 8, {}) == {"spot": 8}
    assert wanted(ray_up(spec), 10, {}) == {"spot": 8, "on-demand": 2}  # the group is full
    assert wanted(ray_up(spec), 8, {"spot": 0.0}) == {"on-demand": 8}  # the cloud has none
    assert wanted(ray_up(spec), 8, {"spot": 1.0}) == {"spot": 8}  # it has some again
    swapped = change(spec, "nodes.groups.priority", -1)
    assert wanted(ray_up(swapped), 8, {}) == {"on-demand": 8}  # the priority it is, not the order


def test_kuberay_is_given_the_same_priorities():
    spec = spec_of("kubernetes", spot=True)
    cluster = kuberay(spec, spec.where)["spec"]["rayClusterSpec"]
    assert cluster["autoscalerOptions"]["version"] == "v2"
    assert {one["groupName"]: one["priority"] for one in cluster["workerGroupSpecs"]} == {
        "spot": 10,
        "on-demand": 0,
    }
