"""Curves of a study before its first trial: what trials take is known, how well they do is drawn."""

from __future__ import annotations

import json
from typing import Final, final

import numpy as np

from autotune.evaluation.judges import judges
from autotune.events import Config
from autotune.policy import entry_fidelity
from autotune.seeds import derive
from autotune.signals import FORWARD_SHARE
from autotune.simulation.curves import Curves
from autotune.simulation.pace import Pace
from autotune.space import SearchSpace
from autotune.study.study import Study
from autotune.training.workload import TrainingWorkload

NOISE: Final = 0.75  # of a score long before the horizon, beside the spread of 1 at it: ranks correlate by .8


@final
class Drawn(Curves):
    """A study's own space, rungs and evaluations; scores at the horizon are normal, with noise before it.

    Who wins is chance, so nothing is to be read from scores. How many trials a budget pays for, how many are
    promoted and how well workers are used hardly depends on who wins.

    Args:
        study: That has not begun, of a task.
        workload: Its workload.
        pace: What its training takes.
        seed: Of the scores.
    """

    def __init__(self, study: Study, workload: TrainingWorkload, pace: Pace, seed: int = 0) -> None:
        self.space: SearchSpace = study.space
        self.horizon = float(study.plan.scheduler.rungs[-1])
        self._rules, self._splits, self._pace, self._seed = workload.rules, workload.splits, pace, seed

    def score(self, config: Config, fidelity: float) -> float:
        """Drawn from the configuration, the same whenever it is asked for."""
        name = json.dumps(config, sort_keys=True)
        final = np.random.default_rng(derive(self._seed, name)).normal()
        noise = np.random.default_rng(derive(self._seed, name, repr(fidelity))).normal()
        return float(final + NOISE * (1 - fidelity / self.horizon) * noise)

    def seconds(self, config: Config, since: float, until: float) -> float:
        """Of training and of the evaluation after it."""
        return self.cost(config, since, until) * self._pace.epoch_s

    def cost(self, config: Config, since: float, until: float) -> float:
        """In reference epoch-equivalents: its training, at the size of its model, and its evaluation."""
        train, validation = len(self._splits.train), len(self._splits.validation)
        rules = self._rules
        judging = validation
        if until < self.horizon:
            judging = judges(until * train, validation, rules.eval_share, rules.eval_least)
        return self._pace.size(config) * (until - since + FORWARD_SHARE * judging / train)

    def entry(self, config: Config) -> float:
        """After two selections of its policy."""
        return entry_fidelity(config, self.horizon)

    def finals(self, count: int, seed: int) -> list[float]:
        """Of configurations drawn from the space."""
        drawing = np.random.default_rng(seed)
        return [self.score(self.space.sample(drawing), self.horizon) for _ in range(count)]
