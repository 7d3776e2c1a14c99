"""The contract of a selector (signals in, subset out), and the registry that knows them by name."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from autotune.errors import SelectorError, unknown
from autotune.signals import Signal, Signals


@dataclass(frozen=True)
class Subset:
    """Samples to train on, with importance weights; the loss is `sum(weight * loss) / batch size`.

    Attributes:
        ids: Sample ids, shape (k,); distinct unless the selector draws with replacement.
        weights: Finite, non-negative, mean 1, shape (k,), float32.
    """

    ids: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def uniform(cls, ids: Tensor) -> Subset:
        """Every sample counts the same."""
        return cls(ids, torch.ones(len(ids)))

    @classmethod
    def weighted(cls, ids: Tensor, weights: Tensor) -> Subset:
        """Scale the weights to mean 1.

        Raises:
            SelectorError: When a weight is negative or not finite, or all are zero.
        """
        total = weights.sum()
        if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()) or not bool(total > 0):
            raise SelectorError("weights must be finite, >= 0 and not all zero; check the selector's scores")
        return cls(ids, (weights.double() * (len(weights) / total.double())).float())


class Size(StrEnum):
    """How a selector meets its budget."""

    EXACT = "exact"  # always `budget` samples
    EXPECTED = "expected"  # `budget` samples on average


class Scope(StrEnum):
    """How long a selection holds."""

    STUDY = "study"  # one answer for the whole trial: choosing again changes nothing
    EPOCH = "epoch"  # chosen again from time to time


class Selector(ABC):
    """A pure rule that picks a subset; concrete selectors are frozen dataclasses.

    Their fields are their searchable hyperparameters. A selector never trains and owns no model, data,
    device or global randomness.

    Attributes:
        needs: The signals that `select` reads; it is given no others.
        size: Whether the budget is met exactly or on average.
        scope: Whether choosing again can change the answer.
        nested: Whether a smaller budget, on the same candidates and generator seed, takes a prefix of what a
            larger one below n takes, in the order picked, all weighted alike. One order then serves all
            trials where nothing that the rule needs ever changes.
        replacement: Whether a sample may be drawn more than once.
        unbiased: Whether E[sum of the weights of i] is the same for every candidate i.
        tolerates_gaps: Whether readings may leave candidates uncovered, or be old; losses from training
            then always do, and no pass is made for them.
    """

    needs: ClassVar[frozenset[Signal]] = frozenset()
    size: ClassVar[Size] = Size.EXACT
    scope: ClassVar[Scope] = Scope.EPOCH
    nested: ClassVar[bool] = False
    unbiased: ClassVar[bool] = False
    tolerates_gaps: ClassVar[bool] = False
    replacement: bool = False  # no class variable: a rule may let its user choose

    @abstractmethod
    def select(self, signals: Signals, budget: int, generator: torch.Generator) -> Subset:
        """Pick `budget` of the candidates, 1 <= budget <= signals.n."""

    @abstractmethod
    def cost(self, n: int, budget: int, width: int) -> float:
        """FLOPs of the rule itself, its signals excluded, for n candidates with `width` features each.

        Where a signal has several checkpoints, `width` is that of one: see `width_of`.

        Arithmetic counts as it is; sorts and draws by `autotune.sampling.sort_cost` and `shuffle_cost`.
        """


def width_of(values: Tensor) -> int:
    """Numbers of a sample in a signal, shape (n,), (n, k), or (n, c, k) where it has several checkpoints.

    >>> width_of(torch.zeros(9)), width_of(torch.zeros(9, 5)), width_of(torch.zeros(9, 3, 5))
    (1, 5, 5)
    """
    return values.shape[-1] if values.dim() > 1 else 1


SelectorT = TypeVar("SelectorT", bound=Selector)
_REGISTRY: dict[str, type[Selector]] = {}


def check_positive(name: str, value: float, usual: float) -> None:
    """Refuse a selector's parameter that is not above 0; `usual` is what to try.

    Raises:
        SelectorError: When it is not, or not finite.
    """
    if not (math.isfinite(value) and value > 0):
        raise SelectorError(f"{name} must be finite and above 0, got {value}; try {usual:g}")


def register(name: str) -> Callable[[type[SelectorT]], type[SelectorT]]:
    """Make a selector class known by a name that spaces and configurations use.

    Raises:
        SelectorError: When the name is taken by another class.
    """

    def add(cls: type[SelectorT]) -> type[SelectorT]:
        taken = _REGISTRY.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise SelectorError(f"selector name {name!r} is taken by {taken.__module__}.{taken.__qualname__}")
        _REGISTRY[name] = cls
        return cls

    return add


@cache
def _load_plugins() -> None:
    """Import every built-in selector module, and those of installed packages."""
    root = importlib.import_module("autotune.selectors")
    for module in pkgutil.walk_packages(root.__path__, "autotune.selectors."):
        importlib.import_module(module.name)
    for entry in entry_points(group="autotune.selectors"):
        entry.load()


def selector_names() -> list[str]:
    """The names of all registered selectors, built-in and third-party, sorted."""
    _load_plugins()
    return sorted(_REGISTRY)


def selector_class(name: str) -> type[Selector]:
    """The class registered under a name.

    Raises:
        SelectorError: When the name is unknown; the text suggests the nearest.
    """
    _load_plugins()
    if name not in _REGISTRY:
        raise SelectorError(unknown("selector", name, _REGISTRY))
    return _REGISTRY[name]


def own_selectors(names: Iterable[str]) -> dict[str, type[Selector]]:
    """Those of some registered selectors that are not built-in, by name."""
    classes = {name: selector_class(name) for name in names}
    return {name: cls for name, cls in classes.items() if not cls.__module__.startswith("autotune.")}


def selector_name(selector: Selector) -> str:
    """The name a selector's class was registered under."""
    for name, cls in _REGISTRY.items():
        if cls is type(selector):
            return name
    raise SelectorError(f"{type(selector).__qualname__} is not registered; decorate it with @register(name)")


def make_selector(name: str, **parameters: Any) -> Selector:
    """Build a selector from its registered name and its hyperparameters.

    Raises:
        SelectorError: When the name or a parameter is unknown, or a value is out of its range.
    """
    cls = selector_class(name)
    fields = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]  # all are dataclasses
    for parameter in parameters:
        if parameter not in fields:
            raise SelectorError(unknown(f"parameter of selector {name!r}", parameter, fields))
    return cls(**parameters)
