"""The plan of a study's YAML file: what proposes, what stops, what it may cost; errors name the line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from autotune.errors import unknown
from autotune.objectives import Constraint, Objective
from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.asha import ASHA
from autotune.scheduling.extrapolating import Extrapolating
from autotune.scheduling.full import FullTraining
from autotune.scheduling.hyperband import Hyperband
from autotune.searching.base import Searcher
from autotune.searching.cmaes import CMAES
from autotune.searching.cost import CostAware
from autotune.searching.fair import FairStart
from autotune.searching.gp import GP
from autotune.searching.grid import GridSearch
from autotune.searching.prior import Belief, Prior
from autotune.searching.random import RandomSearch
from autotune.searching.sobol import Sobol
from autotune.searching.starting import StartingPoints
from autotune.searching.tpe import TPE
from autotune.space import SearchSpace
from autotune.study.plan import Budget, Confirm, Plan
from autotune.yaml_nodes import Node

PLAN: Final = (
    "budget", "scheduler", "extrapolate", "searcher", "beliefs", "fair_start", "starting_points", "confirm",
    "seed", "ordered_workers", "objectives", "constraints", "cost_aware",
)  # fmt: skip
SCHEDULERS: Final[dict[str, type[Any]]] = {
    "asha": ASHA, "adaptive_asha": AdaptiveASHA, "full": FullTraining, "hyperband": Hyperband,
}  # fmt: skip
SEARCHERS: Final[dict[str, type[Any]]] = {
    "tpe": TPE,
    "gp": GP,
    "cmaes": CMAES,
    "random": RandomSearch,
    "sobol": Sobol,
    "grid": GridSearch,
}


def read_plan(node: Node, space: SearchSpace) -> Plan:
    """Budget, scheduler, searcher and confirmation.

    Args:
        node: The file's `plan`.
        space: What is searched.

    Raises:
        ConfigurationError: With file, line and column of what cannot be used.
        SpaceError: The same, where a starting point or a belief does not lie in the space.
    """
    parts = node.items(PLAN)
    if "budget" not in parts:
        limits = ", ".join(one.name for one in dataclasses.fields(Budget))
        raise node.error(f"budget is missing; set at least one of {limits}")
    given: dict[str, Any] = {"budget": parts["budget"].build(Budget), "searcher": _searcher(parts, space)}
    if "scheduler" in parts:
        given["scheduler"] = _plug_in(parts["scheduler"], "scheduler", SCHEDULERS)
    if "confirm" in parts:
        given["confirm"] = parts["confirm"].build(Confirm)
    for name in ("seed", "ordered_workers"):
        if name in parts and parts[name].value() is not None:
            given[name] = parts[name].typed(int)
    if "objectives" in parts:
        given["objectives"] = tuple(_objective(*one) for one in parts["objectives"].items().items())
    if "constraints" in parts:
        given["constraints"] = tuple(_constraint(*one) for one in parts["constraints"].items().items())
    extrapolates = "extrapolate" in parts and parts["extrapolate"].typed(bool)
    with node.here():
        plan = Plan(**given)
        return replace(plan, scheduler=Extrapolating(plan.scheduler)) if extrapolates else plan


def _objective(metric: str, node: Node) -> Objective:
    """`metric: min` or `metric: max`."""
    with node.here():
        return Objective(metric, node.typed(str))


def _constraint(metric: str, node: Node) -> Constraint:
    """`metric: {at_most: ...}` or `metric: {at_least: ...}`."""
    return node.build(Constraint, {"metric": metric})


def _searcher(parts: Mapping[str, Node], space: SearchSpace) -> Searcher[Any]:
    searcher: Searcher[Any] = TPE()
    if "searcher" in parts:
        searcher = _plug_in(parts["searcher"], "searcher", SEARCHERS)
        with parts["searcher"].here():
            searcher.initial(space)
    if "cost_aware" in parts:
        with parts["cost_aware"].here():
            searcher = CostAware(searcher) if parts["cost_aware"].typed(bool) else searcher
    if "beliefs" in parts:
        with parts["beliefs"].here():
            beliefs = {name: _belief(one) for name, one in parts["beliefs"].items().items()}
            searcher = Prior(beliefs, searcher)
            searcher.initial(space)
    if "fair_start" in parts:
        rounds = parts["fair_start"].typed(int)
        with parts["fair_start"].here():
            searcher = FairStart(searcher, rounds) if rounds else searcher
    elif not searcher.counts:  # a grid tries everything anyway
        searcher = FairStart(searcher)
    if "starting_points" in parts:
        points = []
        for one in parts["starting_points"].elements():
            points.append({name: value.value() for name, value in one.items().items()})
            with one.here():
                space.validate(points[-1])
        searcher = StartingPoints(searcher, tuple(points))
    return searcher


def _belief(node: Node) -> Belief:
    """`value`, or `{value: ..., spread: ...}`."""
    return node.build(Belief) if node.is_mapping else Belief(node.value())


def _plug_in(node: Node, kind: str, known: Mapping[str, type[Any]]) -> Any:
    """`name`, or `{name: {its parameters}}`."""
    if not node.is_mapping:
        name = node.typed(str)
        if name not in known:
            raise node.error(unknown(kind, name, known))
        try:
            return known[name]()
        except TypeError:  # it has a field without a default
            raise node.error(f"{name} needs its parameters; write `{name}: {{horizon: 3.0}}`") from None
    chosen = node.items(known)
    if len(chosen) != 1:
        raise node.error(
            f"expected exactly one of {', '.join(sorted(known))}; got {', '.join(chosen) or 'none'}"
        )
    ((name, below),) = chosen.items()
    return below.build(known[name])
