"""The curves that an earlier study has paid for: what would its search have cost on other machines?"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Final, final

from autotune.errors import ConfigurationError
from autotune.events import SEARCH, Config, Event, Failed, Opened, Proposed, Reported
from autotune.log import has_begun, no_study, read_events
from autotune.objectives import Aims
from autotune.policy import first_rung, settings_of
from autotune.scheduling.base import Scheduler
from autotune.scheduling.extrapolating import Extrapolating
from autotune.searching.base import Searcher
from autotune.seeds import derive
from autotune.simulation.curves import Curves
from autotune.space import SearchSpace
from autotune.storage.location import Location, locate
from autotune.study.plan import Budget, Confirm, Plan
from autotune.study.yaml_plan import SCHEDULERS

SAME: Final = 1e-6  # fidelities that differ by less, relative to them, are the same rung


@dataclass
class _Curve:
    """Of one trial, by rung ascending: scores, metrics, and seconds and cost per unit of fidelity.

    A trial stops with the batch that takes it past its rung; here it has stopped at the rung.
    """

    fidelities: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    metrics: list[Mapping[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def worth(self) -> tuple[bool, float]:
        """How much is known: whether it ended well, and how far it came."""
        return math.isfinite(self.scores[-1]), self.fidelities[-1]

    def place(self, fidelity: float) -> int:
        """Of the lowest rung that is no lower; beyond the last where there is none."""
        return bisect_left(self.fidelities, fidelity * (1 - SAME))

    def rate(self, rates: list[float], fidelity: float) -> float:
        return rates[min(self.place(fidelity), len(rates) - 1)]


@final
class Recorded(Curves):
    """The trials of a study's search, in the order in which they were proposed, and over again.

    A trial that goes on where it was not recorded takes as long there, per unit of fidelity, as before, and
    gains what the trials that were recorded there have gained on average; between two rungs its score lies
    on a line over the logarithm of fidelity. So differences far above what was recorded are not to be
    trusted; time and money are. Settings that were not tried, as a confirmation may want of a baseline,
    behave like the same settings under the policy that was.

    Args:
        path: The study's folder.

    Raises:
        FolderError: When there is no study.
        ConfigurationError: When its search has no result, or its scheduler is not known here.
    """

    def __init__(self, path: Location | str) -> None:
        path = locate(path)
        if not has_begun(path / "log"):
            raise no_study(path)
        self._curves: dict[str, _Curve] = defaultdict(_Curve)
        self._failures: dict[str, tuple[str, str]] = {}
        self.configs: list[Config] = []
        names: dict[int, str] = {}
        before: dict[int, float] = {}
        self.flops, study = 1.0, dict[str, Any]()
        for event in read_events(path / "log"):
            match event:
                case Opened():
                    study = dict(event.study)
                    self.flops = float(study.get("reference_flops", 1.0))
                case Proposed(phase=phase) if phase == SEARCH:
                    names[event.trial] = _name(event.config)
                    self.configs.append(event.config)
                case Reported() | Failed() if event.trial in names:
                    name, since = names[event.trial], before.get(event.trial, 0.0)
                    curve, fidelity = self._curves[name], float(study["rungs"][event.rung])
                    score, metrics = math.nan, dict[str, float]()
                    if isinstance(event, Reported):
                        score, metrics = event.score, dict(event.metrics)
                    else:
                        self._failures[name] = event.kind, event.message
                    before[event.trial] = fidelity
                    if fidelity > max(curve.fidelities, default=0.0):  # not a second time
                        length = fidelity - since
                        curve.fidelities.append(fidelity)
                        curve.scores.append(score)
                        curve.metrics.append(metrics)
                        curve.seconds.append(event.ledger.own.total.seconds / length)
                        curve.costs.append(event.ledger.own.epochs(self.flops) / length)
        self.configs = [config for config in self.configs if _name(config) in self._curves]
        if not self.configs:
            raise ConfigurationError(f"the search of {path} has no result yet; wait, or give another study")
        curves = [(_name(settings_of(config)), self._curves[_name(config)]) for config in self.configs]
        self._alike = dict(sorted(curves, key=lambda pair: pair[1].worth))  # of several, the best known
        self.study = study
        self.rungs: list[float] = [float(rung) for rung in study["rungs"]]
        self.space, self.horizon = SearchSpace.from_yaml(study["space"]), self.rungs[-1]
        self._gains = self._average_gains()

    def plan(self) -> Plan:
        """Its budget and rungs, and its configurations in their order.

        Its limits in time and money are left out, for they are what is asked for: where there are no others,
        it tries as many configurations as it has tried.

        Raises:
            ConfigurationError: When its scheduler is not one of ours.
        """
        asked = self.study["plan"]
        budget = {name: value for name, value in asked["budget"].items() if name in ("epochs", "trials")}
        if all(value is None for value in budget.values()):
            budget["trials"] = len(self.configs)
        aims = Aims.of(self.study)
        confirm = {name: value for name, value in asked.get("confirm", {}).items() if name != "kind"}
        return Plan(
            Budget(**budget),
            _scheduler(asked["scheduler"]),
            InOrder(tuple(self.configs)),
            Confirm(**confirm),
            seed=asked["seed"],
            ordered_workers=asked.get("ordered_workers"),
            objectives=aims.objectives,
            constraints=aims.constraints,
        )

    def entry(self, config: Config) -> float:
        """The rung at which a configuration was judged first."""
        return self._curve(config).fidelities[0]

    def score(self, config: Config, fidelity: float) -> float:
        """What was recorded there or lies between what was, or the last score and the usual gains."""
        curve = self._curve(config)
        place, scores = curve.place(fidelity), curve.scores
        if place == len(scores):
            reached, wanted = self._rung(curve.fidelities[-1]), self._rung(fidelity)
            return scores[-1] + sum(self._gains[reached:wanted])
        if place == 0 or curve.fidelities[place] <= fidelity * (1 + SAME):
            return scores[place]
        low, high = curve.fidelities[place - 1 : place + 1]
        share = math.log(fidelity / low) / math.log(high / low)
        return scores[place - 1] + share * (scores[place] - scores[place - 1])

    def metrics(self, config: Config, fidelity: float) -> dict[str, float]:
        """What was recorded at the first rung that is no lower, or at the last of all."""
        curve = self._curve(config)
        return dict(curve.metrics[min(curve.place(fidelity), len(curve.metrics) - 1)])

    def failure(self, config: Config) -> tuple[str, str]:
        """As it was recorded."""
        return self._failures.get(_name(config)) or super().failure(config)

    def seconds(self, config: Config, since: float, until: float) -> float:
        """What it took there, or would have taken at the pace of the last stretch that was recorded."""
        curve = self._curve(config)
        return max((until - since) * curve.rate(curve.seconds, until), 1e-6)

    def cost(self, config: Config, since: float, until: float) -> float:
        """In reference epoch-equivalents, as it was charged."""
        curve = self._curve(config)
        return (until - since) * curve.rate(curve.costs, until)

    def finals(self, count: int, seed: int) -> list[float]:
        """Of all recorded configurations, however many are asked for."""
        return [self.score(config, self.horizon) for config in self.configs]

    def _curve(self, config: Config) -> _Curve:
        return self._curves.get(_name(config)) or self._alike[_name(settings_of(config))]

    def _rung(self, fidelity: float) -> int:
        return first_rung(fidelity * (1 - SAME), self.rungs)

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
    """Propose what was proposed before, in that order, and then any of it again."""

    configs: tuple[Config, ...] = field(repr=False)

    several: ClassVar[bool] = True

    def initial(self, space: SearchSpace) -> None:
        """Nothing to remember."""

    def apply(self, state: None, event: Event) -> None:
        """Whatever happens."""

    def propose(self, state: None, trial: int, seed: int) -> Config:
        """The trial's own configuration; beyond the last one, any."""
        count = len(self.configs)
        return self.configs[trial if trial < count else derive(seed, "again", trial) % count]


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
