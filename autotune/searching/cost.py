"""Proposals that look at what a trial will cost: cheap ones more often, while there is much left to spend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Config, Event, Failed, Opened, Proposed, Reported
from autotune.searching.base import Searcher
from autotune.searching.tpe import TPE
from autotune.seeds import derive
from autotune.space import Choice, SearchSpace

LEAST: Final = 8  # trials that have cost something, before which nothing is known about costs
RIDGE: Final = (
    0.1  # in trials: how much the average cost of all is believed, rather than what tells them apart
)


@dataclass
class CostState:
    """What trials have cost, and the searcher's own state.

    Attributes:
        space: Where to search.
        inner: The searcher's state.
        features: Of each search trial, shape (d,); see `features_of`.
        spent: FLOPs of each until it last reported, without what all trials share, and its fidelity then.
        flops: Of all of them, and of those that failed.
        budget: Of the study in epochs and in trials; infinite where there is no such limit.
        reference: FLOPs of one reference epoch-equivalent.
    """

    space: SearchSpace
    inner: Any
    features: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    spent: dict[int, tuple[float, float]] = field(default_factory=dict)
    flops: float = 0.0
    budget: tuple[float, float] = (math.inf, math.inf)
    reference: float = 1.0

    @property
    def used(self) -> float:
        """Share of the budget that is used up, in [0, 1]; 0 without a limit."""
        epochs = self.flops / self.reference
        return min(1.0, max(epochs / self.budget[0], len(self.features) / self.budget[1]))


@final
@dataclass(frozen=True)
class CostAware(Searcher[CostState]):
    """Choose among several proposals of a searcher by what an epoch of theirs would cost.

    Each is taken with a probability in proportion to cost**-w, which weights the searcher's proposals as
    expected improvement per cost weights improvements. The exponent w falls from `weight` to 0 as the budget
    is used up, so that what is dear and good is found in the end: the cooling of CArBO (Lee et al., 2020,
    https://arxiv.org/abs/2003.10870). Costs come from a ridge regression of the logarithm of what trials so
    far were charged per epoch-equivalent of their own, on their settings and the squares of these.

    For spaces whose models differ in size. Each proposal takes as long as `candidates` of the searcher's.

    Attributes:
        searcher: What proposes.
        candidates: Among how many of its proposals one is chosen, at least 2.
        weight: Of the cost at the beginning, above 0; with 1 twice the cost is half as likely.
    """

    searcher: Searcher[Any] = field(default_factory=TPE)
    candidates: int = 8
    weight: float = 1.0

    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.searcher.counts:
            kind = type(self.searcher).__name__
            raise ConfigurationError(
                f"searcher must not count its trials, which {kind} does; put it outside, such as "
                "FairStart(CostAware()) or StartingPoints(CostAware(), points)"
            )
        if self.candidates < 2:
            raise ConfigurationError(f"candidates must be at least 2 proposals, got {self.candidates}")
        if not 0.0 < self.weight < math.inf:
            raise ConfigurationError(f"weight must be finite and above 0, got {self.weight}")

    def initial(self, space: SearchSpace) -> CostState:
        """Nothing has cost anything."""
        return CostState(space, self.searcher.initial(space))

    def apply(self, state: CostState, event: Event) -> CostState:
        """Keep the account of every search trial; the searcher sees every event."""
        match event:
            case Opened():
                budget = event.study.get("plan", {}).get("budget", {})
                state.budget = (budget.get("epochs") or math.inf, budget.get("trials") or math.inf)
                state.reference = event.study.get("reference_flops", 1.0)
            case Proposed(phase=phase) if phase == SEARCH:
                state.features[event.trial] = features_of(state.space, event.config)
            case Reported() | Failed() if event.trial in state.features:
                taken = event.ledger.own.total.flops
                state.flops += taken
                if isinstance(event, Reported):  # how far a trial had come that failed is not known
                    before, _ = state.spent.get(event.trial, (0.0, 0.0))
                    state.spent[event.trial] = (before + taken, event.fidelity)
        state.inner = self.searcher.apply(state.inner, event)
        return state

    def propose(self, state: CostState, trial: int, seed: int) -> Config | None:
        """One of the searcher's proposals; None when it has none."""
        first = self.searcher.propose(state.inner, trial, seed)
        weight = self.weight * (1.0 - state.used)
        known = [one for one, (flops, fidelity) in state.spent.items() if flops > 0 and fidelity > 0]
        if first is None or weight <= 0.0 or len(known) < LEAST:
            return first
        seeds = (derive(seed, "cost", index) for index in range(1, self.candidates))
        others = (self.searcher.propose(state.inner, trial, other) for other in seeds)
        offered = [first, *(config for config in others if config is not None)]
        rates = [math.log(flops / fidelity) for flops, fidelity in (state.spent[one] for one in known)]
        model = fitted([state.features[one] for one in known], rates)
        expected = np.array([features_of(state.space, config) @ model for config in offered])
        chances = np.exp(-weight * (expected - expected.min()))
        drawing = np.random.default_rng(derive(seed, "cost", trial))
        return offered[int(drawing.choice(len(offered), p=chances / chances.sum()))]


def features_of(space: SearchSpace, config: Config) -> NDArray[np.float64]:
    """A configuration as numbers around 0, shape (d,).

    For each range its place there and the square of that, 0 where the configuration lacks it; for each option
    of a choice whether it was taken.
    """
    found: list[float] = []
    places: Mapping[str, float] = space.quantiles(config)
    for _, key, dim in space.places():
        place = places.get(key)
        if isinstance(dim, Choice):
            count = len(dim.values)
            taken = -1 if place is None else min(int(place * count), count - 1)
            found += [float(option == taken) for option in range(count)]
        else:
            middle = 0.0 if place is None else place - 0.5
            found += [middle, middle**2]
    return np.array(found)


def fitted(features: Sequence[NDArray[np.float64]], values: Sequence[float]) -> NDArray[np.float64]:
    """Coefficients of a ridge regression, shape (d,), up to a constant that all predictions share.

    Args:
        features: At least one, each of shape (d,).
        values: As many.
    """
    matrix = np.stack(features)
    matrix = matrix - matrix.mean(0)
    wanted = np.asarray(values) - np.mean(values)
    gram = matrix.T @ matrix + RIDGE * np.eye(matrix.shape[1])
    solution: NDArray[np.float64] = np.linalg.solve(gram, matrix.T @ wanted)
    return solution
