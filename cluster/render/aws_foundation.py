"""What a cluster on AWS needs beforehand, as a CloudFormation template: a security group and two roles.

Ray would make these itself: a group with SSH open to the world, and a role that may do everything with EC2
and S3. Here the head may start and end instances that carry this cluster's name, and both roles may use this
cluster's folder of the bucket.
"""

from __future__ import annotations

from typing import Any, Final

from autotune.cluster.description.places import AWS
from autotune.cluster.description.spec import ClusterSpec
from autotune.storage.location import Remote, locate

TAG: Final = "ray-cluster-name"  # which Ray gives every instance
LOOKS: Final = (  # describing knows no resources
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeImages",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:DescribeRouteTables",
)

KINDS: Final = ("network-interface", "volume", "key-pair", "spot-instances-request")  # of an instance


def aws_foundation(spec: ClusterSpec, where: AWS) -> dict[str, Any]:
    """The template; its parameter is the VPC of the subnets, its output the id of the security group."""
    worker = spec.storage.identity or f"{spec.name}-worker"
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Security group and roles of the autotune cluster {spec.name}",
        "Parameters": {"Vpc": {"Type": "AWS::EC2::VPC::Id"}},
        "Resources": {
            "Group": {
                "Type": "AWS::EC2::SecurityGroup",
                "Properties": {
                    "GroupDescription": f"autotune cluster {spec.name}",
                    "VpcId": {"Ref": "Vpc"},
                    "SecurityGroupIngress": [
                        {
                            "IpProtocol": "tcp",
                            "FromPort": 22,
                            "ToPort": 22,
                            _range(where.ssh_cidr): where.ssh_cidr,
                        }
                    ],
                },
            },
            "Inside": {
                "Type": "AWS::EC2::SecurityGroupIngress",
                "Properties": {
                    "GroupId": {"Fn::GetAtt": ["Group", "GroupId"]},
                    "SourceSecurityGroupId": {"Fn::GetAtt": ["Group", "GroupId"]},
                    "IpProtocol": "-1",
                },
            },
            "Worker": _role(_storage(spec)),
            "WorkerProfile": _profile(worker, "Worker"),
            "Head": _role([*_storage(spec), *_fleet(spec.name, where)]),
            "HeadProfile": _profile(where.head_profile, "Head"),
        },
        "Outputs": {"SecurityGroup": {"Value": {"Fn::GetAtt": ["Group", "GroupId"]}}},
    }


def _range(cidr: str) -> str:
    return "CidrIpv6" if ":" in cidr else "CidrIp"


def _role(statements: list[dict[str, Any]]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {
                    "PolicyName": "autotune",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
                }
            ],
        },
    }


def _profile(name: str, role: str) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::InstanceProfile",
        "Properties": {"InstanceProfileName": name, "Roles": [{"Ref": role}]},
    }


def _storage(spec: ClusterSpec) -> list[dict[str, Any]]:
    place = locate(spec.storage.path)
    bucket, prefix = str(place), ""  # one that is still to be named as a whole
    if isinstance(place, Remote):
        bucket, prefix = place.root.removeprefix("s3://"), place.key
    below = f"{prefix}/*" if prefix else "*"
    return [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            "Resource": f"arn:aws:s3:::{bucket}/{below}",
        },
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringLike": {"s3:prefix": [below, prefix] if prefix else ["*"]}},
        },
    ]


def _fleet(name: str, where: AWS) -> list[dict[str, Any]]:
    """Start and end this cluster's instances, in its region and security group, with the worker's role."""
    here = f"arn:aws:ec2:{where.region}"
    anywhere: list[Any] = [f"{here}::image/{where.ami}"]
    anywhere += [f"{here}:*:subnet/{one}" for one in where.subnets]
    anywhere += [f"{here}:*:{one}/*" for one in KINDS]
    anywhere.append({"Fn::Sub": f"{here}:*:security-group/${{Group.GroupId}}"})
    named = {"StringEquals": {f"aws:RequestTag/{TAG}": name}}
    carried = {"StringEquals": {f"aws:ResourceTag/{TAG}": name}}
    instance = f"{here}:*:instance/*"
    return [
        {"Effect": "Allow", "Action": list(LOOKS), "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": anywhere},
        {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": instance, "Condition": named},
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": instance,
            "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        },
        {
            "Effect": "Allow",
            "Action": ["ec2:CreateTags", "ec2:TerminateInstances"],
            "Resource": instance,
            "Condition": carried,
        },
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": {"Fn::GetAtt": ["Worker", "Arn"]},
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        },
    ]
