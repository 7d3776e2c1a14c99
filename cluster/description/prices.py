"""Prices from a list that several clusters share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from autotune.cluster.description.spec import HEAD, ClusterSpec, Machine, Market
from autotune.errors import ConfigurationError
from autotune.yaml_nodes import Node


def read_prices(path: str | Path) -> dict[str, float]:
    """A YAML mapping of names to prices per hour: groups, `head`, or instance types, of spot as `TYPE/spot`.

    Raises:
        ConfigurationError: With file and line of what is no price.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the prices in {path}: {error}") from error
    prices = {}
    for name, node in Node.read(text, str(path), "prices per hour by name").items().items():
        prices[name] = node.typed(float)
        if not 0 <= prices[name] < float("inf"):
            raise node.error(f"a price per hour is finite and at least 0, got {prices[name]:g}")
    return prices


def priced(spec: ClusterSpec, prices: Mapping[str, float]) -> ClusterSpec:
    """The spec with a list's prices where it has none; other names of the list are left alone."""

    def found(own: float | None, name: str, machine: Machine, market: Market) -> float | None:
        kind = f"{machine.instance}/spot" if market is Market.SPOT else str(machine.instance)
        return own if own is not None else prices.get(name, prices.get(kind))

    nodes = spec.nodes
    groups = tuple(
        replace(one, price_per_hour=found(one.price_per_hour, one.name, one.machine, one.market))
        for one in nodes.groups
    )
    head = nodes.head
    if head is not None:
        head = replace(head, price_per_hour=found(head.price_per_hour, HEAD, head.machine, head.market))
    return replace(spec, nodes=replace(nodes, groups=groups, head=head))
