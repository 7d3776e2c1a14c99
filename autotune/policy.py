"""A data policy: which selector, how much of the data, and when to choose again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from autotune.errors import PolicyError, SelectorError, unknown
from autotune.selection import Scope, Selector, make_selector, selector_class, selector_name
from autotune.signals import KNOWN, Signal, passes

POLICY: Final = "policy"
PREFIX: Final = f"{POLICY}."
FACTORS: Final = ("lr_factor", "batch_factor")  # by which a policy changes training settings
OWN: Final = ("fraction", "pool", "weighting", *FACTORS)  # parameters of a policy whatever its selector
KEPT: Final = "kept"  # share of the pool, in place of a fraction of all data: what a rule does depends on it
BASELINES: Final = ("fresh_random", "full")  # the arms that every winner is compared with


class Weighting(StrEnum):
    """Whether the selector's importance weights are used."""

    SELECTOR = "selector"
    UNIFORM = "uniform"


@dataclass(frozen=True)
class Schedule:
    """When a policy selects, in progress: the share of the trial's own horizon spent, from 0 to 1.

    Attributes:
        interval: Progress between two selections, in [0, 1]; 0 selects after every pass over the subset.
            A subset is always passed at least once before the next is chosen.
        warmup: Leading share of the horizon trained on all data, in [0, 1).
        anneal: Trailing share of the horizon trained on all data, in [0, 1).
    """

    interval: float = 0.0
    warmup: float = 0.0
    anneal: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.interval <= 1.0:
            raise PolicyError(
                f"interval must be in [0, 1], got {self.interval}; it is a share of the horizon, 0 "
                "selects after every pass"
            )
        for name in ("warmup", "anneal"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise PolicyError(
                    f"{name} must be in [0, 1), got {getattr(self, name)}; it is a share of the horizon, 0 "
                    "for none"
                )
        if self.warmup + self.anneal >= 1.0:
            raise PolicyError(
                f"warmup + anneal must leave room to select: below 1, got {self.warmup + self.anneal}; "
                "lower one of them"
            )


@dataclass(frozen=True)
class Policy:
    """Selector x fraction x schedule: the part of a configuration that decides what is trained on.

    Attributes:
        selector: The rule.
        fraction: Share of the training split in each subset, in (0, 1].
        pool: Share of the training split drawn afresh as candidates for each selection, in (0, 1]; signals
            are collected on the pool only. It must hold the subset: pool >= fraction.
        schedule: When to select.
        weighting: Use the selector's importance weights, or weight all alike.
        lr_factor: What the learning rate is multiplied by under this policy, above 0: subsets may want
            another one than all data, while both learn from the same parameter.
        batch_factor: The same for the batch size.
    """

    selector: Selector
    fraction: float = 1.0
    pool: float = 1.0
    schedule: Schedule = field(default_factory=Schedule)
    weighting: Weighting = Weighting.SELECTOR
    lr_factor: float = 1.0
    batch_factor: float = 1.0

    def __post_init__(self) -> None:
        for name in ("fraction", "pool"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise PolicyError(
                    f"policy {self.name!r}: {name} must be in (0, 1], got {getattr(self, name)}; it is a "
                    "share of the training split, 1 for all of it"
                )
        for name in FACTORS:
            if not 0.0 < getattr(self, name) < math.inf:
                raise PolicyError(
                    f"policy {self.name!r}: {name} must be finite and above 0, got {getattr(self, name)}; "
                    "1 changes nothing"
                )
        if self.pool < self.fraction:
            raise PolicyError(
                f"policy {self.name!r}: pool must be at least fraction={self.fraction}, got {self.pool}; "
                "raise it"
            )

    @property
    def name(self) -> str:
        """The selector's registered name, which is also the name of the policy's arm in a report."""
        return selector_name(self.selector)

    @property
    def selects(self) -> bool:
        """Whether anything is ever left out."""
        return self.fraction < 1.0

    def budget(self, n: int) -> int:
        """How many of n training samples a subset holds: at least 1."""
        return max(1, round(self.fraction * n))

    def candidates(self, n: int) -> int:
        """How many of n training samples are drawn as candidates: at least the budget."""
        return max(self.budget(n), round(self.pool * n))

    def scoring(self, static: Set[Signal] = frozenset()) -> float:
        """Epoch-equivalents of collecting the signals for one selection, as declared.

        Losses of training are free where gaps are tolerated; the target split's signals are left out.

        Args:
            static: Signals that the study computes once.
        """
        free = {Signal.LOSS} if self.selector.tolerates_gaps else set()
        return self.pool * passes(self.selector.needs - free - static)

    def fair_fidelity(self, horizon: float) -> float:
        """Epoch-equivalents after which the policy has selected twice, so that it can be judged.

        Rules that read only what the data has are fair from the start: judging them early wrongs no one.
        """
        if not self.selector.needs - KNOWN or self.selector.scope is Scope.STUDY or not self.selects:
            return 0.0
        scoring = self.scoring()
        due = self.schedule.interval * horizon - scoring
        passes_between = max(1, math.ceil(due / self.fraction - 1e-9))  # it chooses again once a pass is over
        return min(horizon, self.schedule.warmup * horizon + 2 * scoring + passes_between * self.fraction)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Policy:
        """Build the policy of a configuration: `policy` names the selector, `policy.*` its parameters.

        A configuration without `policy` trains on all data. Where `policy.pool` is absent the pool is all
        data; a pool smaller than the fraction is raised to it, and then all of it is kept, whatever the rule.
        `policy.kept` says how much of the pool is kept, instead of a fraction.

        Raises:
            PolicyError, SelectorError: When a name is unknown or a value out of range.
        """
        name = str(config.get("policy", "full"))
        given = {key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)}
        schedule = {f.name: given.pop(f.name) for f in dataclasses.fields(Schedule) if f.name in given}
        own = {key: given.pop(key) for key in OWN if key in given}
        if KEPT in given:
            kept = given.pop(KEPT)
            if "fraction" in own or not 0.0 < kept <= 1.0:
                raise PolicyError(
                    f"policy {name!r}: kept must be in (0, 1] and stand instead of fraction, got {kept}; "
                    "it is the share of the pool that is trained on"
                )
            own["fraction"] = fraction_of(config)
        if "pool" in own:
            own["pool"] = max(own["pool"], own.get("fraction", 1.0))
        if "weighting" in own:
            known = [weighting.value for weighting in Weighting]
            if own["weighting"] not in known:
                text = unknown("policy weighting", str(own["weighting"]), known)
                raise PolicyError(f"policy {name!r}: {text}")
            own["weighting"] = Weighting(own["weighting"])
        try:
            selector, times = make_selector(name, **given), Schedule(**schedule)
        except (SelectorError, PolicyError) as error:
            raise type(error)(f"policy {name!r}: {error}") from error
        return cls(selector, schedule=times, **own)


def policy_parameters(name: str) -> frozenset[str]:
    """The parameter names a space may give under the policy `name`, without the `policy.` prefix."""
    own = {*OWN, KEPT, *(f.name for f in dataclasses.fields(Schedule))}
    fields = dataclasses.fields(selector_class(name))  # type: ignore[arg-type]  # selectors are dataclasses
    return frozenset(own | {f.name for f in fields if f.init})


def fraction_of(config: Mapping[str, Any]) -> float | None:
    """The fraction that a configuration names, or that comes of what is kept of its pool; else None."""
    if f"{PREFIX}{KEPT}" in config:
        return float(config[f"{PREFIX}{KEPT}"] * config.get(f"{PREFIX}pool", 1.0))
    return config.get(f"{PREFIX}fraction")


def entry_fidelity(config: Mapping[str, Any], horizon: float) -> float:
    """Where a configuration is first judged; 0 for one that is no policy: its trial fails, not the study."""
    try:
        return Policy.from_config(config).fair_fidelity(horizon)
    except (PolicyError, SelectorError):
        return 0.0


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without its policy."""
    return {key: value for key, value in config.items() if key != POLICY and not key.startswith(PREFIX)}


def first_rung(fidelity: float, rungs: Sequence[float]) -> int:
    """The lowest rung at or above a fidelity; the last where there is none."""
    return next((index for index, rung in enumerate(rungs) if rung >= fidelity), len(rungs) - 1)
