"""What training would have shown, had it been paid for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from autotune.events import Config
from autotune.space import SearchSpace


class Curves(ABC):
    """The learning curve of every configuration of a space.

    Attributes:
        space: What there is to choose.
        horizon: Fidelity of full training, in the curves' own unit.
        lowest: The lowest fidelity at which there is a score.
    """

    space: SearchSpace
    horizon: float
    lowest: float = 0.0

    @abstractmethod
    def score(self, config: Config, fidelity: float) -> float:
        """The validation score there, higher is better; NaN once it has diverged."""

    @abstractmethod
    def seconds(self, config: Config, since: float, until: float) -> float:
        """Device-seconds from one fidelity to the other, above 0."""

    def cost(self, config: Config, since: float, until: float) -> float:
        """What the budget is charged; the fidelity itself, unless configurations differ in size."""
        return until - since

    def metrics(self, config: Config, fidelity: float) -> dict[str, float]:
        """What is reported there besides the score; nothing, unless a study has more aims than that."""
        return {}

    def entry(self, config: Config) -> float:
        """The lowest fidelity at which a configuration can be judged."""
        return 0.0

    def failure(self, config: Config) -> tuple[str, str]:
        """What kind of failure NaN is, and what is said of it."""
        return "diverged", "the curve is NaN there"

    @abstractmethod
    def finals(self, count: int, seed: int) -> list[float]:
        """Scores at the horizon of configurations drawn at random, or of all there are if they are fewer."""


class Stepped(Curves):
    """Curves with a score at whole numbers of fidelity only, from 1 to the horizon."""

    lowest = 1.0

    def step(self, fidelity: float) -> int:
        """The one that a fidelity above 0 is rounded to."""
        return min(max(round(fidelity), 1), int(self.horizon))

    def cost(self, config: Config, since: float, until: float) -> float:
        """In whole steps, so that what is scored is what is paid for."""
        return float(self.step(until) - (self.step(since) if since > 0 else 0))


class Regret:
    """How far a score is from the best there is, where 1 is the median of random configurations.

    `(best - score) / (best - median)` of the finite scores at the horizon among `count` configurations drawn
    at random, at most 1. A score better than the best drawn gives a value below 0; one that is not finite
    gives 1.

    Args:
        curves: Whose scores.
        count: How many configurations are drawn for the reference.
        seed: Of that draw.
    """

    def __init__(self, curves: Curves, count: int = 1000, seed: int = 0) -> None:
        finite = [score for score in curves.finals(count, seed) if math.isfinite(score)]
        self.best, self.median = max(finite), float(np.median(finite))

    def __call__(self, score: float) -> float:
        """The normalised regret of a score at the horizon."""
        if not math.isfinite(score):
            return 1.0
        return min((self.best - score) / (self.best - self.median), 1.0)
