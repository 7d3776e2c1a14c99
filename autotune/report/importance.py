"""Which parameters mattered, by PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autotune.errors import AutotuneError
from autotune.history import Trial
from autotune.report.view import StudyView
from autotune.space import SearchSpace

FEWEST: Final = 20  # results at a rung, below which importances are noise
BEST: Final = 0.25  # the share of results that a parameter should tell from the rest


@dataclass(frozen=True)
class Importances:
    """Shares of one by parameter, largest first, and what they were computed from."""

    shares: Mapping[str, float]
    rung: int
    results: int


def importances(view: StudyView) -> Importances | None:
    """From the highest rung with enough results; None where there is none, or Optuna cannot say."""
    space = view.space
    if space is None:
        return None
    for rung in reversed(range(len(view.rungs))):
        trials = [trial for trial in view.search if math.isfinite(trial.scores.get(rung, math.nan))]
        if len(trials) >= FEWEST:
            try:
                shares = _ped_anova(space, trials, rung)
            except Exception:  # an importance that cannot be computed must not cost the user the report
                return None
            return Importances(shares, rung, len(trials)) if shares else None
    return None


def _ped_anova(space: SearchSpace, trials: Sequence[Trial], rung: int) -> dict[str, float]:
    import optuna  # it takes a second, and only the page needs it
    from optuna.importance import PedAnovaImportanceEvaluator

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = space.to_optuna()
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                value=trial.scores[rung],
                params=(values := _keyed(space, trial.config)),
                distributions={key: distributions[key] for key in values},
            )
        )
    found: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls it experimental
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)
        for _, key, dimension in space.places():
            having = sum(key in one.params for one in study.get_trials(deepcopy=False))
            if len(set(dimension.extremes())) == 1 or having < FEWEST:
                continue
            value = float(evaluator.evaluate(study, params=[key])[key])
            found[key] = value * having / len(trials) if math.isfinite(value) else 0.0
    total = sum(found.values())
    if total <= 0:
        return {}
    return dict(sorted(((key, value / total) for key, value in found.items()), key=lambda pair: -pair[1]))


def _keyed(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return space.optuna_of(space.validate(config))
    except AutotuneError:  # a starting point from outside the space
        return {}
