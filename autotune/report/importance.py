"""Which parameters mattered, by PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from autotune.errors import AutotuneError
from autotune.history import Trial
from autotune.report.view import StudyView
from autotune.space import SearchSpace

ENOUGH: Final = 30  # results at a rung, from which it is preferred to lower ones
FEWEST: Final = 12  # results at a rung, below which nothing can be told from chance
MOST: Final = 400  # trials that are looked at
BEST: Final = 0.25  # the share of results that a parameter should tell from the rest
BEYOND: Final = 3.0  # standard deviations above what chance explains
SHUFFLES: Final = 30  # of the scores: what a parameter seems to explain by chance alone


@dataclass(frozen=True)
class Importances:
    """Which parameters told good results from others.

    Attributes:
        shares: Of one, by parameter, largest first; only of those that explain more than chance does.
        chance: The parameters that do not.
        rung: Where the results are from.
        results: How many there were.
    """

    shares: Mapping[str, float]
    chance: tuple[str, ...]
    rung: int
    results: int


def importances(view: StudyView) -> Importances | None:
    """From the highest rung with enough results; None where all have few, or Optuna cannot say."""
    space = view.space
    if space is None:
        return None
    by_rung = [
        [trial for trial in view.search if math.isfinite(trial.scores.get(rung, math.nan))]
        for rung in range(len(view.rungs))
    ]
    # the highest rung says most about full training, as long as it has results enough to say anything
    rung = max(range(len(by_rung)), key=lambda k: (min(len(by_rung[k]), ENOUGH), k), default=0)
    trials = by_rung[rung] if by_rung else []
    if len(trials) < FEWEST:
        return None
    try:
        return _judged(space, trials[:: math.ceil(len(trials) / MOST)], rung)
    except Exception:  # an importance that cannot be computed must not cost the user the report
        return None


def _judged(space: SearchSpace, trials: Sequence[Trial], rung: int) -> Importances:
    settings = [_keyed(space, trial.config) for trial in trials]
    keys = [
        key
        for _, key, dimension in space.places()
        if len(set(dimension.extremes())) > 1 and sum(key in one for one in settings) >= FEWEST
    ]
    scores = np.array([trial.scores[rung] for trial in trials])
    found = _ped_anova(space, settings, scores, keys)
    generator = np.random.default_rng(0)  # the same page from the same log
    shuffled = [_ped_anova(space, settings, generator.permutation(scores), keys) for _ in range(SHUFFLES)]
    chances = {key: np.array([one[key] for one in shuffled]) for key in keys}
    above = {
        key: found[key] - float(by_chance.mean())
        for key, by_chance in chances.items()
        if found[key] > by_chance.mean() + BEYOND * by_chance.std()
    }
    total = sum(above.values())
    ranked = sorted(above.items(), key=lambda pair: -pair[1])
    chance = tuple(key for key in keys if key not in above)
    return Importances({key: value / total for key, value in ranked}, chance, rung, len(trials))


def _ped_anova(
    space: SearchSpace, settings: Sequence[Mapping[str, Any]], scores: np.ndarray, keys: Sequence[str]
) -> dict[str, float]:
    """Unscaled importance by key, weighted with how many trials have the parameter."""
    import optuna  # it takes a second, and only the page needs it
    from optuna.importance import PedAnovaImportanceEvaluator

    distributions = space.to_optuna()
    loud = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # or it announces the study that holds our trials
    study = optuna.create_study(direction="maximize")
    optuna.logging.set_verbosity(loud)
    for values, score in zip(settings, scores, strict=True):
        study.add_trial(
            optuna.trial.create_trial(
                value=float(score),
                params=dict(values),
                distributions={key: distributions[key] for key in values},
            )
        )
    found: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls it experimental
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)
        for key in keys:
            value = float(evaluator.evaluate(study, params=[key])[key])
            weight = sum(key in values for values in settings) / len(settings)
            found[key] = value * weight if math.isfinite(value) else 0.0
    return found


def _keyed(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return space.optuna_of(space.validate(config))
    except AutotuneError:  # a starting point from outside the space
        return {}
