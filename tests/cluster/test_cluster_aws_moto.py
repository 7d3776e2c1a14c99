"""AWS as `ray up` would find it, against a moto server: foundation, bootstrap and instances."""

import json

import pytest
import yaml

from autotune.cluster.description.presets import preset
from autotune.cluster.description.spec_yaml import parse_spec
from autotune.cluster.render.aws_foundation import LOOKS, aws_foundation
from autotune.cluster.render.ray_up import ray_up
from autotune.cluster.validate.offline import validate

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # moto's and boto's own
REGION, CIDR = "us-east-1", "198.51.100.7/32"


@pytest.fixture
def aws(monkeypatch, tmp_path):
    reason = "moto and boto3 are not installed: pip install 'moto[server]' boto3"
    boto3 = pytest.importorskip("boto3", reason=reason)
    pytest.importorskip("moto", reason=reason)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "HOME": str(tmp_path),  # Ray writes the key that it makes below ~/.ssh
    }.items():
        monkeypatch.setenv(name, value)
    yield lambda service: boto3.client(service, region_name=REGION)
    server.stop()


def test_ray_bootstraps_what_is_rendered_and_nothing_is_open(aws):
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler._private.util import prepare_config

    ec2, iam, formation = aws("ec2"), aws("iam"), aws("cloudformation")
    subnet = ec2.describe_subnets()["Subnets"][0]
    text = preset("aws", spot=True).replace("eu-central-1", REGION).replace("<your address>/32", CIDR)
    text = text.replace("subnet-<of your VPC>", subnet["SubnetId"]).replace("<bucket>", "mine")
    text = text.replace(
        "<with Docker, and NVIDIA's driver for GPUs>", ec2.describe_images()["Images"][0]["ImageId"][4:]
    )
    spec = parse_spec(text).spec
    stack = formation.create_stack(
        StackName="foundation",
        TemplateBody=json.dumps(aws_foundation(spec, spec.where)),
        Parameters=[{"ParameterKey": "Vpc", "ParameterValue": subnet["VpcId"]}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )["StackId"]
    group = formation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"][0]["OutputValue"]
    spec = parse_spec(text.replace("sg-<output of the rendered foundation.json>", group)).spec
    assert validate(spec) == []

    before = {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    config = _bootstrap_config(prepare_config(ray_up(spec)), no_config_cache=True)
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for kind in config["available_node_types"].values():
        provider.create_node(kind["node_config"], {"ray-user-node-type": "any"}, 1)

    instances = [one for r in ec2.describe_instances()["Reservations"] for one in r["Instances"]]
    by_profile = {}
    for one in instances:
        by_profile.setdefault(one["IamInstanceProfile"]["Arn"].rpartition("/")[2], []).append(one)
    assert [one.get("InstanceLifecycle") for one in by_profile["autotune-head"]] == [None]
    assert {one.get("InstanceLifecycle") for one in by_profile["autotune-worker"]} == {"spot", None}
    assert all(one["MetadataOptions"]["HttpTokens"] == "required" for one in instances)
    assert all([g["GroupId"] for g in one["SecurityGroups"]] == [group] for one in instances)

    assert {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]} == before
    (rules,) = [
        one["IpPermissions"] for one in ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    ]
    assert [one["CidrIp"] for rule in rules for one in rule["IpRanges"]] == [CIDR]
    assert {one["GroupId"] for rule in rules for one in rule["UserIdGroupPairs"]} == {group}

    roles = {one["RoleName"] for one in iam.list_roles()["Roles"]}
    assert len(roles) == 2  # Ray made none of its own
    for role in roles:
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
        document = iam.get_role_policy(RoleName=role, PolicyName="autotune")["PolicyDocument"]
        document = yaml.safe_load(document) if isinstance(document, str) else document  # as moto has it
        for statement in document["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert all("*" not in action for action in actions)
            assert statement["Resource"] != "*" or actions == list(LOOKS)
