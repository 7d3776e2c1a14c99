"""Fixtures of the laboratory, which skip, saying why, where there can be none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .cloud import FakeCloud
from .cluster import Cluster
from .sandbox import Sandbox, missing


@pytest.fixture
def sandbox(tmp_path) -> Iterator[Sandbox]:
    """A network of hosts of its own; whatever runs in it ends with the test."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with Sandbox(tmp_path) as made:
        yield made


@pytest.fixture
def cloud_of(sandbox) -> Iterator[Callable[..., FakeCloud]]:
    """Makes clouds for clusters in the sandbox; see `FakeCloud`."""
    made: list[FakeCloud] = []

    def make(cluster: Cluster, **given: Any) -> FakeCloud:
        made.append(FakeCloud(cluster, **given))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()
