"""What a study is given: whether each argument is what it should be, and the same as when it began."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from torch import nn

from autotune.data import Dataset, Splits
from autotune.engines.base import Engine
from autotune.errors import ConfigurationError, FolderError, unknown
from autotune.events import Event, Opened, strict
from autotune.objectives import Aims
from autotune.space import SearchSpace
from autotune.storage.location import Location
from autotune.study.plan import Budget, Plan
from autotune.task import CustomLoop, ModelTask, Task
from autotune.work import Workload

ENGINES: Final = ("inprocess", "ray")
_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "objective": ((Task, Workload), "give a task, such as at.Classification(data, model)"),
    "space": ((SearchSpace,), "wrap the parameters in at.SearchSpace({...})"),
    "plan": ((Plan,), "write at.Plan(at.Budget(trials=...))"),
    "engine": ((str, Engine), f"name one of {', '.join(ENGINES)}, or build one"),
    "data": ((Dataset,), "build one with at.Dataset.from_arrays(inputs, targets)"),
    "splits": ((Splits, type(None)), "make them with at.Splits.make(data)"),
    "encoder": ((nn.Module, type(None)), "give the module itself, trained"),
}
_NAMED: Final = 3  # differences between two studies that an error lists


def check_arguments(objective: object, space: object, plan: object, engine: object) -> None:
    """Refuse arguments of another kind, such as two that changed places.

    Raises:
        ConfigurationError: Which one, what it is and what it should be.
    """
    given = {"objective": objective, "space": space, "plan": plan, "engine": engine}
    if isinstance(objective, Task):
        given |= {"data": objective.data, "splits": objective.splits, "encoder": objective.encoder}
    for name, value in given.items():
        kinds, advice = _KINDS[name]
        if not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
            raise ConfigurationError(f"{name} must be a {wanted}, got {_described(value)}; {advice}")
    if isinstance(engine, str) and engine not in ENGINES:
        raise ConfigurationError(unknown("engine", engine, ENGINES))
    if isinstance(objective, ModelTask):
        model: object = objective.model
        if isinstance(model, nn.Module) or not callable(model):
            raise ConfigurationError(
                f"model must be a function that builds one from a configuration, got {_described(model)}; "
                "write model=lambda config: ..., so that every trial begins with one of its own"
            )
    if isinstance(objective, CustomLoop) and not callable(objective.train):
        raise ConfigurationError(
            f"train must be a function of a session, got {_described(objective.train)}; see at.CustomLoop"
        )


def check_aims(aims: Aims, metric: str) -> None:
    """Refuse the task's own metric as a further objective.

    Raises:
        ConfigurationError: When it is one.
    """
    if any(objective.metric == metric for objective in aims.objectives):
        raise ConfigurationError(
            f"objectives: {metric!r} is the task's own metric, which is always the first; leave it out"
        )


def check_prices(prices: object) -> dict[str, float] | None:
    """Prices per hour by type of machine, as numbers; None when none were given.

    Raises:
        ConfigurationError: Which one cannot be a price.
    """
    if prices is None:
        return None
    if not isinstance(prices, Mapping):
        raise ConfigurationError(
            f"prices must be a mapping of types of machine to prices per hour, got {_described(prices)}; "
            "write prices={'local': 0.04}"
        )
    for name, price in prices.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"a type of machine must be a name, got {name!r}; without a cluster it is 'local'"
            )
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if not (number and 0 <= price < math.inf):
            raise ConfigurationError(
                f"prices[{name!r}] must be a price per hour, finite and at least 0, got {price!r}"
            )
    return {name: float(price) for name, price in prices.items()}


def check_money(budget: Budget, prices: Mapping[str, float]) -> None:
    """Refuse a budget in money that nothing could ever reach.

    Raises:
        ConfigurationError: When no type of machine has a price above 0.
    """
    if budget.usd is not None and not any(prices.values()):
        raise ConfigurationError(
            f"budget.usd is {budget.usd:g}, but no type of machine has a price; give "
            "prices={'local': 1.80}, per hour, by the autoscaler's name for each type (`local` without one)"
        )


def check_same_study(opened: Event, identity: Mapping[str, Any], path: Location) -> None:
    """Refuse a folder that another study began; its name may change, since folders are moved and copied.

    Raises:
        FolderError: With what differs.
    """
    if not isinstance(opened, Opened):
        raise FolderError(f"the log in {path} does not begin with a study; choose another path")
    was, now = _said(strict(opened.study)), _said(strict(identity))
    differing = [key for key in now if key != "name" and was.get(key) != now[key]]
    if differing:
        details = [text for key in differing for text in _differences(key, was.get(key), now[key])]
        raise FolderError(
            f"{path} holds another study: {', '.join(differing)} differ ({'; '.join(details[:_NAMED])}); "
            "choose another path, or go back to what it was started with to continue it"
        )


def _said(value: Any) -> Any:
    """Without what is None: an option that is newer than the log was not set in it."""
    if isinstance(value, Mapping):
        return {key: _said(one) for key, one in value.items() if one is not None}
    return value


def _differences(name: str, was: Any, now: Any) -> Iterator[str]:
    """The innermost values that differ, the space's by line."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*was, *now]):
            if was.get(key) != now.get(key):
                yield from _differences(f"{name}.{key}", was.get(key), now.get(key))
    elif isinstance(was, str) and isinstance(now, str) and ("\n" in was or "\n" in now):
        before, after = was.splitlines(), now.splitlines()
        gone = [line.strip() for line in before if line not in after]
        new = [line.strip() for line in after if line not in before]
        yield f"{name} was {', '.join(gone) or 'without what is new'}, is {', '.join(new) or 'without it'}"
    else:
        yield f"{name} was {_short(was)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def _described(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
