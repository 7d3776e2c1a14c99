"""The curves that an earlier study has paid for: what would its search have cost on other machines?"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, final

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Config, Event, Failed, Opened, Proposed, Reported
from autotune.log import has_begun, no_study, read_events
from autotune.objectives import Aims
from autotune.scheduling.base import Scheduler
from autotune.scheduling.extrapolating import Extrapolating
from autotune.searching.base import Searcher
from autotune.simulation.curves import Curves
from autotune.space import SearchSpace
from autotune.storage.location import Location
from autotune.study.plan import Budget, Plan
from autotune.study.yaml_plan import SCHEDULERS


@dataclass
class _Curve:
    """Of one trial, by fidelity ascending: scores, metrics, and seconds and cost per unit of fidelity."""

    fidelities: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    metrics: list[Mapping[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def rate(self, rates: list[float], fidelity: float) -> float:
        return rates[min(bisect_left(self.fidelities, fidelity - 1e-9), len(rates) - 1)]


@final
class Recorded(Curves):
    """The trials of a study's search, in the order in which they were proposed.

    A trial that goes on where it was not recorded takes as long there, per unit of fidelity, as before, and
    gains what the trials that were recorded there have gained on average. So differences far above what was
    recorded are not to be trusted; time and money are.

    Args:
        path: The study's folder.

    Raises:
        FolderError: When there is no study.
        ConfigurationError: When its search has no result, or its scheduler is not known here.
    """

    def __init__(self, path: Location) -> None:
        if not has_begun(path / "log"):
            raise no_study(path)
        self._curves: dict[str, _Curve] = defaultdict(_Curve)
        self.configs: list[Config] = []
        names: dict[int, str] = {}
        before: dict[int, float] = {}
        flops, study = 1.0, {}
        for event in read_events(path / "log"):
            match event:
                case Opened():
                    study, flops = dict(event.study), float(event.study.get("reference_flops", 1.0))
                case Proposed(phase=phase) if phase == SEARCH:
                    names[event.trial] = _name(event.config)
                    self.configs.append(event.config)
                case Reported() | Failed() if event.trial in names:
                    curve, since = self._curves[names[event.trial]], before.get(event.trial, 0.0)
                    fidelity, score = float(study["rungs"][event.rung]), math.nan
                    metrics: Mapping[str, float] = {}
                    if isinstance(event, Reported):
                        fidelity, score, metrics = event.fidelity, event.score, event.metrics
                    before[event.trial] = fidelity
                    if fidelity > max(curve.fidelities, default=0.0):  # not a second time
                        length = fidelity - since
                        curve.fidelities.append(fidelity)
                        curve.scores.append(score)
                        curve.metrics.append(metrics)
                        curve.seconds.append(event.ledger.own.total.seconds / length)
                        curve.costs.append(event.ledger.own.epochs(flops) / length)
        self.configs = [config for config in self.configs if self._curves[_name(config)].fidelities]
        if not self.configs:
            raise ConfigurationError(f"the search of {path} has no result yet; wait, or give another study")
        self.study = study
        self.rungs: list[float] = [float(rung) for rung in study["rungs"]]
        self.space, self.horizon = SearchSpace.from_yaml(study["space"]), self.rungs[-1]
        self._gains = self._average_gains()

    def plan(self) -> Plan:
        """Its budget and rungs, and its configurations in their order.

        Raises:
            ConfigurationError: When its scheduler is not one of ours.
        """
        asked = self.study["plan"]
        budget = {name: value for name, value in asked["budget"].items() if name in ("epochs", "trials")}
        if all(value is None for value in budget.values()):
            budget["trials"] = len(self.configs)  # its hours are what is asked for
        aims = Aims.of(self.study)
        return Plan(
            Budget(**budget),
            _scheduler(asked["scheduler"]),
            searcher=InOrder(tuple(self.configs)),
            seed=asked["seed"],
            objectives=aims.objectives,
            constraints=aims.constraints,
        )

    def entry(self, config: Config) -> float:
        """The fidelity at which a configuration was judged first."""
        return self._curves[_name(config)].fidelities[0]

    def score(self, config: Config, fidelity: float) -> float:
        """What was recorded at the first rung that is no lower, or the last score and the usual gains."""
        curve = self._curves[_name(config)]
        place = bisect_left(curve.fidelities, fidelity - 1e-9)
        if place < len(curve.fidelities):
            return curve.scores[place]
        reached, wanted = self._rung(curve.fidelities[-1]), self._rung(fidelity)
        return curve.scores[-1] + sum(self._gains[reached:wanted])

    def metrics(self, config: Config, fidelity: float) -> dict[str, float]:
        """What was recorded at the first rung that is no lower, or at the last of all."""
        curve = self._curves[_name(config)]
        return dict(
            curve.metrics[min(bisect_left(curve.fidelities, fidelity - 1e-9), len(curve.metrics) - 1)]
        )

    def seconds(self, config: Config, since: float, until: float) -> float:
        """What it took there, or would have taken at the pace of the last stretch that was recorded."""
        curve = self._curves[_name(config)]
        return max((until - since) * curve.rate(curve.seconds, until), 1e-6)

    def cost(self, config: Config, since: float, until: float) -> float:
        """In reference epoch-equivalents, as it was charged."""
        curve = self._curves[_name(config)]
        return (until - since) * curve.rate(curve.costs, until)

    def finals(self, count: int, seed: int) -> list[float]:
        """Of all recorded configurations, however many are asked for."""
        return [self.score(config, self.horizon) for config in self.configs]

    def _rung(self, fidelity: float) -> int:
        return min(bisect_left(self.rungs, fidelity * (1 - 1e-6)), len(self.rungs) - 1)

    def _average_gains(self) -> list[float]:
        """From each rung to the next, over the trials recorded at both; nothing where there are none."""
        gains: dict[int, list[float]] = defaultdict(list)
        for curve in self._curves.values():
            for place in range(1, len(curve.scores)):
                lower, upper = (self._rung(curve.fidelities[at]) for at in (place - 1, place))
                if upper == lower + 1:
                    gain = curve.scores[place] - curve.scores[place - 1]
                    if math.isfinite(gain):
                        gains[lower].append(gain)
        return [fmean(gains[rung]) if gains[rung] else 0.0 for rung in range(len(self.rungs) - 1)]


@final
@dataclass(frozen=True)
class InOrder(Searcher[None]):
    """Propose what was proposed before, in that order, and then nothing more."""

    configs: tuple[Config, ...] = field(repr=False)

    several: ClassVar[bool] = True

    def initial(self, space: SearchSpace) -> None:
        """Nothing to remember."""

    def apply(self, state: None, event: Event) -> None:
        """Whatever happens."""

    def propose(self, state: None, trial: int, seed: int) -> Config | None:
        """The trial's own configuration."""
        return self.configs[trial] if trial < len(self.configs) else None


def _scheduler(asked: Mapping[str, Any]) -> Scheduler[Any]:
    """As it was written into the log."""
    fields = dict(asked)
    kind = fields.pop("kind")
    if kind == Extrapolating.__name__:
        return Extrapolating(_scheduler(fields["scheduler"]))
    known = {one.__name__: one for one in SCHEDULERS.values()}
    if kind not in known:
        raise ConfigurationError(
            f"the study was scheduled by {kind}, which is not built in; known: {', '.join(known)}"
        )
    found: Scheduler[Any] = known[kind](**fields)
    return found


def _name(config: Config) -> str:
    return json.dumps(config, sort_keys=True)
