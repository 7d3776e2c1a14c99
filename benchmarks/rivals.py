"""Searches as others do them, on curves in virtual time: Ray's own rule; Optuna's samplers and pruners."""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections import deque
from types import SimpleNamespace
from typing import Any, Protocol, cast

import numpy as np
import optuna
from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

from autotune.events import Config
from autotune.seeds import derive
from autotune.simulation.curves import Curves
from autotune.space import SearchSpace
from autotune.space.optuna_form import distribution

TOP = 10  # that first-epoch top-k trains to the end


class Proposals(Protocol):
    """Where configurations come from."""

    def propose(self, trial: int) -> Config:
        """Of a new trial."""

    def finish(self, trial: int, score: float) -> None:
        """The last score of a trial that ends here."""


class AtRandom:
    """Independent draws."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, trial: int) -> Config:
        """One draw."""
        return self._space.sample(np.random.default_rng(derive(self._seed, "rival", trial)))

    def finish(self, trial: int, score: float) -> None:
        """Nothing is learnt."""


class ByTPE:
    """Optuna's sampler with its defaults, told what trials end with: all that Ray's OptunaSearch tells it."""

    def __init__(
        self, space: SearchSpace, seed: int, pruner: optuna.pruners.BasePruner | None = None
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner
        )
        self._space = {name: distribution(one) for name, one in space.parameters.items()}
        self.trials: dict[int, optuna.Trial] = {}

    def propose(self, trial: int) -> Config:
        """What it asks for."""
        self.trials[trial] = self.study.ask(self._space)
        return dict(self.trials[trial].params)

    def finish(self, trial: int, score: float) -> None:
        """A complete trial, or one that failed where the score is not finite."""
        if math.isfinite(score):
            self.study.tell(self.trials[trial], score)
        else:
            self.study.tell(self.trials[trial], state=optuna.trial.TrialState.FAIL)


class Rival(ABC):
    """Who trains what, and how far.

    Attributes:
        configs: Of all trials.
    """

    def __init__(self, proposals: Proposals, horizon: float) -> None:
        self.proposals, self.horizon = proposals, horizon
        self.configs: list[Config] = []
        self.going_on: deque[tuple[int, float]] = deque()

    def ask(self) -> tuple[int, float] | None:
        """A trial and the fidelity to train it to; None while there is nothing to do."""
        if self.going_on:
            return self.going_on.popleft()
        self.configs.append(self.proposals.propose(len(self.configs)))
        return len(self.configs) - 1, self.first()

    @abstractmethod
    def first(self) -> float:
        """The fidelity to which a new trial is trained."""

    @abstractmethod
    def tell(self, trial: int, fidelity: float, score: float) -> None:
        """What training to that fidelity gave."""


class Full(Rival):
    """Every trial to the end."""

    def first(self) -> float:
        """The end."""
        return self.horizon

    def tell(self, trial: int, fidelity: float, score: float) -> None:
        """The end of a trial."""
        self.proposals.finish(trial, score)


class RayASHA(Rival):
    """Ray's AsyncHyperBandScheduler: its own bracket decides at 1, 3, 9 and 27 epochs."""

    def __init__(self, proposals: Proposals, horizon: float) -> None:
        super().__init__(proposals, horizon)
        self._bracket = _Bracket(1, round(horizon), 3, 0)
        milestones = sorted(float(milestone) for milestone, _ in self._bracket._rungs)
        self._milestones = [one for one in milestones if one < horizon] + [horizon]

    def first(self) -> float:
        """Its grace period."""
        return self._milestones[0]

    def tell(self, trial: int, fidelity: float, score: float) -> None:
        """Go on at once or never."""
        named: Any = SimpleNamespace(trial_id=str(trial))  # of a trial it reads nothing else
        action = self._bracket.on_result(named, cast(int, fidelity), score)
        further = [milestone for milestone in self._milestones if milestone > fidelity]
        if action == TrialScheduler.CONTINUE and further:
            self.going_on.append((trial, further[0]))
        else:
            self.proposals.finish(trial, score)


class FirstEpoch(Rival):
    """Half of the budget for one epoch of many trials, the other for the best of them."""

    def __init__(self, proposals: Proposals, horizon: float, budget: float) -> None:
        super().__init__(proposals, horizon)
        self.kept = max(1, round(TOP * budget / (20 * horizon)))
        self._wanted = max(self.kept, round(budget - self.kept * horizon) + self.kept)
        self._scores: dict[int, float] = {}

    def first(self) -> float:
        """An epoch."""
        return 1.0

    def ask(self) -> tuple[int, float] | None:
        """New trials until there are enough, then those that were chosen."""
        return super().ask() if self.going_on or len(self.configs) < self._wanted else None

    def tell(self, trial: int, fidelity: float, score: float) -> None:
        """Choose once the last first epoch is over."""
        if fidelity > 1.0:
            return
        self._scores[trial] = score if math.isfinite(score) else -math.inf
        if len(self._scores) == self._wanted:
            best = sorted(self._scores, key=lambda one: (-self._scores[one], one))
            self.going_on.extend((one, self.horizon) for one in best[: self.kept])


class Pruned(Rival):
    """Optuna's sampler and one of its pruners, which is asked after every epoch."""

    def __init__(self, proposals: ByTPE, horizon: float) -> None:
        super().__init__(proposals, horizon)
        self._study, self._trials = proposals.study, proposals.trials

    def first(self) -> float:
        """An epoch."""
        return 1.0

    def tell(self, trial: int, fidelity: float, score: float) -> None:
        """Report, and go on unless it would prune."""
        one = self._trials[trial]
        one.report(score, round(fidelity))
        if fidelity >= self.horizon:
            self.proposals.finish(trial, score)
        elif one.should_prune():
            self._study.tell(one, state=optuna.trial.TrialState.PRUNED)
        else:
            self.going_on.append((trial, fidelity + 1.0))


def drive(curves: Curves, rival: Rival, budget: float, workers: int) -> Config | None:
    """What a rival would choose: of the trials trained furthest, the one with the best score.

    Args:
        curves: What training shows and takes.
        rival: Decides.
        budget: Fidelity in all; what has begun by then is finished.
        workers: How many trials at a time.
    """
    running: list[tuple[float, int, float]] = []
    reached: dict[int, float] = {}
    now, spent = 0.0, 0.0
    best, chosen = (-1.0, -math.inf), None
    while True:
        while len(running) < workers and spent < budget and (work := rival.ask()) is not None:
            trial, until = work
            since = reached.get(trial, 0.0)
            reached[trial] = until
            spent += curves.cost(rival.configs[trial], since, until)
            heapq.heappush(running, (now + curves.seconds(rival.configs[trial], since, until), trial, until))
        if not running:
            return chosen
        now, trial, until = heapq.heappop(running)
        score = curves.score(rival.configs[trial], until)
        if math.isfinite(score) and (until, score) > best:
            best, chosen = (until, score), rival.configs[trial]
        rival.tell(trial, until, score)
