"""The files of a cluster: its spec, ready to start, and the folder of what is rendered from it."""

from __future__ import annotations

from pathlib import Path

from autotune.cluster.description.findings import placed, refuse
from autotune.cluster.description.spec import ClusterSpec
from autotune.cluster.description.spec_yaml import read_spec
from autotune.cluster.validate.offline import token_file, validate


def ready(path: Path) -> ClusterSpec:
    """A spec with nothing wrong and nothing left to fill in.

    Raises:
        ConfigurationError: With every finding.
    """
    read = read_spec(path)
    refuse(placed([*validate(read.spec), *token_file(read.spec)], read.place), ready=True)
    return read.spec


def folder_of(spec: ClusterSpec, path: Path) -> Path:
    """Where the rendered files of a spec's file are, unless somebody says otherwise."""
    return path.parent / "launch" / spec.name
