"""Rules over what runs on the nodes: image, recovery, storage, authentication, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from autotune.cluster.description.findings import Finding, is_placeholder, leaves
from autotune.cluster.description.places import AWS, GCP, Kubernetes, Local
from autotune.cluster.description.secret_scan import find_secrets
from autotune.cluster.description.spec import ClusterSpec, Gcs
from autotune.cluster.description.versions import ours, pinned, said_by
from autotune.errors import ConfigurationError
from autotune.storage.location import SCHEMES, locate

RIGHTS: Final = {"aws": "s3", "gcp": "gs"}  # what the rendered foundation lets nodes use


def image(spec: ClusterSpec) -> Iterator[Finding]:
    """The same software everywhere, today and tomorrow."""
    name, (ray, python) = spec.image.name, ours()
    if name is None:
        if spec.where.own_head:
            yield Finding(
                "image-pinned",
                "image",
                f"nodes on {spec.where.tag} run a container image, and none is named",
                f"write `name: rayproject/ray:{ray}-py{python.replace('.', '')}`, or an image of your own",
            )
    elif spec.where.own_head and not is_placeholder(name):
        if not pinned(name):
            yield Finding(
                "image-pinned",
                "image.name",
                f"{name!r} may be another image tomorrow",
                "name a version or a digest, not `latest` or `nightly`",
            )
        for what, said, declared in zip(
            ("ray", "python"), said_by(name), (spec.image.ray, spec.image.python), strict=True
        ):
            if said is not None and said != declared:
                yield Finding(
                    "versions",
                    f"image.{what}",
                    f"the image's tag says {what} {said}, the spec {declared}",
                    "make them agree",
                )
    if isinstance(spec.where, Kubernetes) and spec.image.setup:
        yield Finding(
            "image-setup",
            "image.setup",
            "a pod runs no commands before Ray starts in it",
            "build an image that holds what they install, and name it",
        )
    for what, declared, here in (("ray", spec.image.ray, ray), ("python", spec.image.python, python)):
        if declared != here:
            yield Finding(
                "versions",
                f"image.{what}",
                f"nodes have {what} {declared}, this machine has {here}: they cannot talk to each other",
                f"take an image with {what} {here}, or run autotune where {what} is {declared}",
            )


def recovery(spec: ClusterSpec) -> Iterator[Finding]:
    """A drain must end before the node does; what outlives the head must be rendered by somebody."""
    given = spec.nodes.recovery
    if not 0 < given.drain_s < given.grace_s:
        yield Finding(
            "grace",
            "nodes.recovery.drain_s",
            f"draining for {given.drain_s} s does not end before the node does, after {given.grace_s} s",
            "use a drain_s above 0 and below grace_s, such as 110 and 120",
        )
    if given.gcs is not Gcs.MEMORY and not isinstance(spec.where, Kubernetes):
        yield Finding(
            "gcs",
            "nodes.recovery.gcs",
            f"{given.gcs} is rendered for Kubernetes only",
            "use `gcs: memory`; a lost head then ends the cluster, and the next one resumes the study",
        )
    if (given.gcs is Gcs.REDIS) != (given.redis is not None):
        yield Finding(
            "gcs",
            "nodes.recovery.redis",
            f"`gcs: {given.gcs}` {'needs' if given.redis is None else 'does not use'} an address of Redis",
            "give `gcs: redis` and `redis: {address: host:port}` together, or neither",
        )
    if given.redis is not None and not re.fullmatch(r"[^:]+:\d+", given.redis.address):
        yield Finding(
            "gcs",
            "nodes.recovery.redis.address",
            f"{given.redis.address!r} is no address",
            "write `host:port`, without a scheme or a password",
        )


def storage(spec: ClusterSpec) -> Iterator[Finding]:
    """Every node must reach the same storage, and so must the next cluster."""
    path, where = spec.storage.path, spec.where
    if spec.storage.identity is not None and not isinstance(where, AWS | GCP | Kubernetes):
        yield Finding(
            "identity",
            "storage.identity",
            f"nodes on {where.tag} are given no identity here",
            "remove it, and give them their rights there",
        )
    if spec.storage.shared and where.own_head:
        yield Finding(
            "storage",
            "storage.shared",
            f"nothing is mounted into containers on {where.tag}: each would have a folder of its own",
            "use an object store, and remove `shared`",
        )
    if is_placeholder(path):
        return
    scheme = path.partition("://")[0] if "://" in path else ""
    rights = RIGHTS.get(where.tag, scheme)
    problem = remedy = ""
    if scheme and scheme not in SCHEMES:
        problem, remedy = "is in a storage that is not known", f"use one of {', '.join(SCHEMES)}"
    elif scheme and scheme != rights:
        problem, remedy = f"is not what nodes on {where.tag} are given rights to", f"use {rights}://"
    elif scheme == "az" and where.own_head:
        problem = "does not say whose container that is, and nodes do not know it"
        remedy = "write abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/..."
    elif not scheme and not path.startswith("/"):
        problem, remedy = "means another folder on every node", "use an absolute path"
    elif not scheme and not isinstance(where, Local) and not spec.storage.shared:
        problem = "is a folder of its own on every host: a trial that moves loses its checkpoints"
        mounted = "" if where.own_head else ", or a folder that all hosts mount, with `shared: true`"
        remedy = f"use {rights or 's3'}:// or another object store{mounted}"
    elif scheme:
        try:
            locate(path)
        except ConfigurationError as error:  # without what may be a secret in it
            yield Finding("storage", "storage.path", f"the address cannot be used: {error}", "correct it")
    if problem:
        yield Finding("storage", "storage.path", f"{path!r} {problem}", remedy)


def authentication(spec: ClusterSpec) -> Iterator[Finding]:
    """A cluster without a token runs what anybody sends it."""
    given = spec.authentication
    if isinstance(spec.where, Kubernetes):
        return
    if given.token_file is None:
        yield Finding(
            "token",
            "authentication.token_file",
            "without a token everybody who reaches the cluster may run code on it",
            "name the file of the token; `ray get-auth-token --generate` makes ~/.ray/auth_token",
        )
    for name, wanted in (("secret_name", given.secret_name is not None), ("tls", given.tls)):
        if wanted:
            yield Finding(
                "token",
                f"authentication.{name}",
                f"{name} is rendered for Kubernetes only",
                "remove it; here the token travels by SSH, and traffic stays in the private network",
            )


def secrets(spec: ClusterSpec) -> Iterator[Finding]:
    """No value is a secret."""
    yield from find_secrets(spec.to_plain())


def placeholders(spec: ClusterSpec) -> Iterator[Finding]:
    """What only the user knows must be filled in before anything is started."""
    for path, value in leaves(spec.to_plain()):
        if is_placeholder(value):
            yield Finding("fill-in", path, f"{value!r} is still to be filled in", "write yours", waits=True)
