"""The systems whose searches are compared, and ours with one thing or another switched off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import autotune as at
from autotune.policy import BASELINES
from autotune.scheduling.base import Scheduler
from autotune.scheduling.extrapolating import Extrapolating
from autotune.search_spaces.policies import policies
from autotune.searching.base import Searcher
from benchmarks.recipes import Recipe

STOCK: Final = "stock Ray Tune"


@dataclass(frozen=True)
class System:
    """How ours searches; what is not said is as a user gets it who names budget and horizon.

    Attributes:
        policy: What is searched besides the settings, by the task's epochs; None for full data.
        searcher: What proposes.
        scheduler: What stops.
        rules: How a trial trains.
        horizon: Share of full training that a trial of the search gets.
        rations: Whether the search ends at a share of stock's compute, and not after `--trials`.
        share: Of stock's compute; None for what `--share` says.
    """

    policy: Callable[[int], at.Choice] | None
    searcher: Searcher[Any] = field(default_factory=at.FairStart)
    scheduler: Callable[[float], Scheduler[Any]] = at.AdaptiveASHA
    rules: Mapping[str, Any] = field(default_factory=dict)
    horizon: float = 1.0
    rations: bool = True
    share: float | None = None

    def space(self, recipe: Recipe) -> at.SearchSpace:
        """What it searches."""
        return recipe.space(policy=self.policy(recipe.horizon)) if self.policy else recipe.space()

    def plan(self, recipe: Recipe, epochs: float, trials: int, seed: int) -> at.Plan:
        """For a task and a budget."""
        budget = at.Budget(epochs) if self.rations else at.Budget(trials=trials)
        return at.Plan(budget, self.scheduler(self.horizon * recipe.horizon), self.searcher, seed=seed)


def automata(epochs: int) -> at.Choice:
    """GradMatchPB on a tenth of the data, chosen again every 5 epochs of it, after a warm start of .35.

    Killamsetty et al., "AUTOMATA: Gradient Based Data Subset Selection for Compute-Efficient Hyper-parameter
    Tuning", NeurIPS 2022.
    """
    given = {"fraction": 0.1, "pool": 1.0, "batch": 32, "interval": 5 / epochs, "warmup": 0.35}
    return policies(["gradmatch"], without=BASELINES, **given)


def every(epochs: int) -> at.Choice:
    """All policies of the preset, with its finer points fixed: the budget is small."""
    return policies(pool=0.1, interval=0.05)


def preset(epochs: int) -> at.Choice:
    """The preset as it is."""
    return policies()


def tenth(epochs: int) -> at.Choice:
    """Fresh random tenths, and nothing else."""
    return policies([], without=["full"], fraction=0.1)


SYSTEMS: Final[Mapping[str, System]] = {
    "autotune": System(every),
    "settings alone": System(None),
    "fresh random 10 %": System(tenth),
    "AUTOMATA": System(automata, at.TPE(), at.ASHA, horizon=0.1, rations=False),
}
ABLATIONS: Final[Mapping[str, System]] = {
    "no fair start": System(every, at.TPE()),
    "policies may take the whole budget": System(every, at.FairStart(share=1.0)),
    "random proposals": System(every, at.FairStart(at.RandomSearch())),
    "first rung of one epoch": System(every, scheduler=partial(at.AdaptiveASHA, lowest=1.0)),
    "rungs that do not learn": System(every, scheduler=at.ASHA),
    "extrapolated curves": System(every, scheduler=lambda end: Extrapolating(at.AdaptiveASHA(end))),
    "representatives of every arm": System(every, scheduler=partial(at.AdaptiveASHA, lent=0.25)),
    "all validation samples at every rung": System(every, rules={"eval_share": math.inf}),
}
ALL: Final[Mapping[str, System]] = {
    **SYSTEMS,
    **ABLATIONS,
    "autotune, as much compute as stock": System(preset, share=1.0),
    "autotune, as much compute as stock, lent=.25": System(
        preset, scheduler=partial(at.AdaptiveASHA, lent=0.25), share=1.0
    ),
    "fresh random 10 %, as much compute as stock": System(tenth, share=1.0),
}
