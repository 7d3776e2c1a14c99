"""Who is trained again at full cost, and who wins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final

from autotune.evaluation.comparison import Answer, compare
from autotune.evaluation.weighing import leaders
from autotune.events import CONFIRM, SEARCH, Config
from autotune.history import History, Trial
from autotune.objectives import Aims, Order
from autotune.policy import BASELINES, fraction_of, settings_of
from autotune.study.plan import Confirm

FIRST: Final = 2  # seeds of every candidate, before the field is narrowed
DEFAULT_FRACTION: Final = 0.3  # of a fresh-random baseline where the leader trains on all data


@dataclass(frozen=True)
class Candidate:
    """A configuration to confirm; `origin` is the search trial it comes from, None for a made baseline."""

    origin: int | None
    config: Config


def candidates(history: History, confirm: Confirm, arms: Sequence[str]) -> list[Candidate]:
    """The leaders of the search, and for each baseline among `arms` the strongest rivals there are.

    Those are the best trial of its arm, if it came as far as the leaders, and the best leader's settings
    under its policy: a searcher spends most trials where the leaders are, and a baseline hardly tuned
    would be beaten by default. What was left behind at a lower rung is no rival, and would cost as much.
    """
    ranked = leaders(history.of_phase(SEARCH), Aims.of(history.study))
    distinct: dict[str, Trial] = {}
    for trial in ranked:
        distinct.setdefault(str(sorted(trial.config.items())), trial)
    best = list(distinct.values())[: confirm.leaders]
    chosen = [Candidate(trial.number, trial.config) for trial in best]
    for arm in BASELINES:
        if arm not in arms or not best:
            continue
        lowest = min(leader.rung for leader in best)
        judged = (trial for trial in ranked if trial.arm == arm and trial.rung >= lowest)
        tuned = [Candidate(trial.number, trial.config) for trial in judged][:1]
        moved = [Candidate(None, _under(best[0].config, arm))] if best[0].arm != arm else []
        for rival in tuned + moved:
            if all(rival.config != candidate.config for candidate in chosen):
                chosen.append(rival)
    return chosen


def _under(config: Config, arm: str) -> Config:
    settings = settings_of(config)
    if arm == "full":
        return {**settings, "policy": arm}
    return {**settings, "policy": arm, "policy.fraction": fraction_of(config) or DEFAULT_FRACTION}


@dataclass(frozen=True)
class Confirmed:
    """A candidate with its paired repetitions, in the order of seeds, and by what they are weighed."""

    candidate: Candidate
    trials: tuple[Trial, ...]
    aims: Aims = field(default_factory=Aims)

    @property
    def arm(self) -> str:
        """The name of its policy."""
        return str(self.candidate.config.get("policy", "full"))

    @property
    def rank(self) -> tuple[float, int, float]:
        """Greater is better.

        How little the means are past the constraints, how many seeds ended well, the mean validation score.
        """
        return (-self.aims.violation(self.means), len(self.finite), self.mean)

    @property
    def finite(self) -> list[Trial]:
        """The repetitions that ended well."""
        return [trial for trial in self.trials if math.isfinite(trial.score)]

    @property
    def mean(self) -> float:
        """The mean validation score; minus infinity when no seed ended well."""
        scores = [trial.score for trial in self.finite]
        return fmean(scores) if scores else -math.inf

    @property
    def means(self) -> dict[str, float]:
        """Of the metrics that the aims read, over the seeds that ended well."""
        if not self.finite:
            return {}
        return {name: fmean(t.metrics.get(name, math.nan) for t in self.finite) for name in self.aims.metrics}

    @property
    def feasible(self) -> bool:
        """Whether the means keep all constraints."""
        return self.aims.violation(self.means) == 0.0


def confirmed(history: History, chosen: Sequence[Candidate]) -> list[Confirmed]:
    """Each candidate with its repetitions: `FIRST` of all, seed by seed, and those of finalists.

    Where a limit cut the confirmation, a seed that not all of them have is left out: it would be unpaired.
    """
    aims = Aims.of(history.study)
    trials = history.of_phase(CONFIRM)
    first, further = trials[: FIRST * len(chosen)], trials[FIRST * len(chosen) :]
    if history.cut is not None and chosen:
        first = first[: len(first) - len(first) % len(chosen)]
    entries = [Confirmed(one, tuple(first[index :: len(chosen)]), aims) for index, one in enumerate(chosen)]
    if not further:
        return entries
    last = finalists(entries)
    if history.cut is not None:
        further = further[: len(further) - len(further) % len(last)]
    more = {id(one): tuple(further[index :: len(last)]) for index, one in enumerate(last)}
    return [Confirmed(one.candidate, one.trials + more.get(id(one), ()), aims) for one in entries]


def finalists(entries: Sequence[Confirmed]) -> list[Confirmed]:
    """Who gets all seeds: the best two and the best of each baseline arm, after the first seeds of all.

    Nobody else is compared in the verdict, and to find out how far behind the others are is worth nothing;
    where more than a score counts, the verdict tells of all.
    """
    if any(entry.aims for entry in entries):
        return list(entries)
    ranked = sorted(entries, key=lambda entry: entry.rank, reverse=True)
    of_arms = (next((one for one in ranked if one.arm == arm), None) for arm in BASELINES)
    last = {id(one) for one in [*ranked[:2], *of_arms]}
    return [one for one in entries if id(one) in last]


def contest(entries: Sequence[Confirmed]) -> tuple[Confirmed | None, dict[str, Confirmed]]:
    """The winner by validation, and the best other candidate of each baseline arm.

    Nobody wins who does not keep the constraints.
    """
    winner = max(entries, key=lambda entry: entry.rank, default=None)
    if winner is None or not winner.finite or not winner.feasible:
        return None, {}
    baselines = {}
    for arm in BASELINES:
        rivals = [entry for entry in entries if entry.arm == arm and entry is not winner]
        if rivals and max(rivals, key=lambda entry: entry.rank).finite:
            baselines[arm] = max(rivals, key=lambda entry: entry.rank)
    return winner, baselines


def verdict(history: History, confirm: Confirm, chosen: Sequence[Candidate]) -> dict[str, Any]:
    """Everything that the study concludes, as plain data.

    Scores are test scores where the test split was read and validation scores where there is none.
    """
    entries = confirmed(history, chosen)
    winner, baselines = contest(entries)
    if winner is None:
        return {"winner": None, "comparisons": [], "reason": _no_winner(entries)}
    comparisons = []
    for arm in BASELINES:
        if winner.arm == arm:
            comparisons.append({"baseline": arm, "answer": None, "reason": "the winner's own policy"})
        elif arm not in baselines:
            comparisons.append(
                {"baseline": arm, "answer": None, "reason": "removed from the space, or failed"}
            )
        else:
            comparisons.append(_compared(history, winner, baselines[arm], confirm))
    return {
        "winner": _summary(history, winner),
        "baselines": {arm: _summary(history, entry) for arm, entry in baselines.items()},
        "comparisons": comparisons,
        "margin": confirm.margin,
        "confidence": confirm.confidence,
        **({"front": _front(entries)} if winner.aims else {}),
    }


def _no_winner(entries: Sequence[Confirmed]) -> str:
    best = max(entries, key=lambda entry: entry.rank, default=None)
    if best is None or not best.finite:
        return "no candidate could be confirmed"
    means = ", ".join(f"{name} {value:.4g}" for name, value in best.means.items())
    bounds = ", ".join(map(str, best.aims.constraints))
    return (
        f"no candidate kept the constraints ({bounds}); the nearest has {means} (trial "
        f"{best.trials[0].number}); relax them, or search with a larger budget"
    )


def _front(entries: Sequence[Confirmed]) -> list[Mapping[str, Any]]:
    """The candidates that keep the constraints and that no other such one dominates, best score first."""
    order, aims = Order(), entries[0].aims
    for index, entry in enumerate(entries):
        order.add(index, aims.point(entry.mean, entry.means), aims.violation(entry.means))
    members = (index for front in order.feasible.fronts[:1] for index in front.members)
    best_first = sorted(members, key=lambda index: (-entries[index].mean, index))
    return [
        {
            "origin": entry.candidate.origin,
            "config": dict(entry.candidate.config),
            "arm": entry.arm,
            "trials": [trial.number for trial in entry.trials],
            "score": entry.mean,
            "metrics": entry.means,
        }
        for entry in (entries[index] for index in best_first)
    ]


def _compared(history: History, ours: Confirmed, theirs: Confirmed, confirm: Confirm) -> dict[str, Any]:
    pairs = [
        (_judged(history, a), _judged(history, b)) for a, b in zip(ours.trials, theirs.trials, strict=True)
    ]
    finite = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    if len(finite) < 2:
        reason = f"only {len(finite)} seeds ended well on both sides"
        return {"baseline": theirs.arm, "answer": Answer.INCONCLUSIVE.value, "reason": reason}
    mine, other = zip(*finite, strict=True)
    comparison = compare(theirs.arm, mine, other, confirm.margin, confirm.confidence)
    return {**dataclasses.asdict(comparison), "answer": comparison.answer.value, "pairs": len(finite)}


def _judged(history: History, trial: Trial) -> float:
    """The score to compare; where others were read on the test split, one that was not has none."""
    if not history.reads:
        return trial.score
    return history.reads[trial.number].score if trial.number in history.reads else math.nan


def _summary(history: History, entry: Confirmed) -> Mapping[str, Any]:
    reads = [history.reads[trial.number] for trial in entry.trials if trial.number in history.reads]
    return {
        "origin": entry.candidate.origin,
        "config": dict(entry.candidate.config),
        "arm": entry.arm,
        "trials": [trial.number for trial in entry.trials],
        "validation": [trial.score for trial in entry.trials],
        "test": [read.score for read in reads],
        "test_metrics": [dict(read.metrics) for read in reads],
    }
