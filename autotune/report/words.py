"""What a study found, in plain words: who won, by how much, how sure that is, what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from autotune.account import Bill
from autotune.events import CONFIRM, SEARCH, VERDICT
from autotune.history import Status
from autotune.report.front import front_words
from autotune.report.numbers import duration, epochs, money, number, setting, share, signed
from autotune.report.view import StudyView
from autotune.storage.location import Location

RIVALS: Final = {
    "fresh_random": "fresh random subsets for as many epoch-equivalents",
    "full": "full data for as many epoch-equivalents",
}
PHASES: Final = {SEARCH: "search", CONFIRM: "confirmation", VERDICT: "reading the test split"}


def summary(study: StudyView | str | Location) -> str:
    """The whole story of a study or of the one in a folder, one paragraph per line.

    Raises:
        FolderError: When the folder holds no study, or one of a newer format.
        LogError: When its log is damaged.
    """
    view = study if isinstance(study, StudyView) else StudyView.load(study)
    claims = [headline(view), *comparisons(view), flattered(view), *front_words(view), not_better(view)]
    lines = [*claims, cut_short(view), untried(view), removed(view), *cost(view)]
    return "\n".join(line for line in lines if line)


def headline(view: StudyView) -> str:
    """Who won, or why nobody has."""
    if not view.done:
        return _unfinished(view)
    winner = view.verdict.get("winner")
    if not winner:
        return f"No winner: {view.verdict.get('reason', 'nothing could be confirmed')}."
    who = f"trial {winner['origin']} with"
    if winner.get("origin") is None:
        who = "a baseline, the leader's settings under"
    return f"The winner is {who} policy {winner['arm']}: {_result(view, winner)}."


def cut_short(view: StudyView) -> str:
    """That the budget ended the confirmation early; empty when it did not."""
    if view.history.cut is None:
        return ""
    return f"The confirmation ended before all of its seeds were trained: {view.history.cut}."


def _unfinished(view: StudyView) -> str:
    what = {CONFIRM: "the leaders are being trained again", VERDICT: "the test split is being read"}
    doing = what.get(view.history.phase, "the search is not over")
    leaders = view.leaders()
    best = "no trial has a result yet"
    if leaders:
        lead = leaders[0]
        value = number(view.sign * lead.score)
        best = f"ahead is trial {lead.number} (policy {lead.arm}) with validation {view.metric} {value}"
    return f"Unfinished: {doing}; {best}. None of it is confirmed: do not quote it as a result."


def _result(view: StudyView, entry: Mapping[str, Any]) -> str:
    split, scores = judged(entry)
    finite = [view.sign * score for score in scores if math.isfinite(score)]
    if not finite:
        return f"no finite {split} {view.metric}"
    spread = f" ± {number(stdev(finite), 2)}" if len(finite) > 1 else ""
    over = f"mean ± standard deviation of {len(finite)} seeds" if spread else "one seed"
    return f"{split} {view.metric} {number(fmean(finite))}{spread} ({over})"


def judged(entry: Mapping[str, Any]) -> tuple[str, list[float]]:
    """The split by which a confirmed candidate was compared, and its scores there."""
    test = [float(score) for score in entry.get("test", ())]
    return ("test", test) if test else ("validation", [float(score) for score in entry.get("validation", ())])


def comparisons(view: StudyView) -> list[str]:
    """One sentence for each baseline that the winner was compared with."""
    verdict = view.verdict
    margin, confidence = float(verdict.get("margin", 0.0)), float(verdict.get("confidence", 0.95))
    offered = set(view.arms)
    return [comparison(one, margin, confidence, offered) for one in verdict.get("comparisons", ())]


def flattered(view: StudyView) -> str:
    """What comparisons are worth that were made on what the winner was chosen by."""
    compared = any("mean" in one for one in view.verdict.get("comparisons", ()))
    if not compared or view.verdict["winner"].get("test"):
        return ""
    return "There is no test split: the winner was chosen by what it is compared on, which flatters it."


def comparison(one: Mapping[str, Any], margin: float, confidence: float, offered: set[str]) -> str:
    """One comparison of the winner with a baseline, as a sentence."""
    arm = str(one["baseline"])
    rival = RIVALS.get(arm, arm)
    if "mean" not in one:
        return _uncompared(arm, rival, one, offered)
    interval = (
        f"advantage {signed(one['mean'])}, {100 * confidence:g}% interval {signed(one['low'])} to "
        f"{signed(one['high'])}, {one['pairs']} paired seeds"
    ).replace("%", " %")
    seen = f"the smallest difference these seeds could detect is {number(one['detectable'], 2)}"
    match one["answer"]:
        case "better":
            return f"Better than {rival} ({interval}; {seen})."
        case "worse":
            return f"Worse than {rival} ({interval}; {seen})."
        case "inconclusive":
            return f"Not shown to be better than {rival}: inconclusive ({interval}; {seen})."
    return f"Equivalent to {rival} within the margin of {number(margin, 2)} ({interval}; {seen})."


def _uncompared(arm: str, rival: str, one: Mapping[str, Any], offered: set[str]) -> str:
    reason = str(one.get("reason", "it was not compared"))
    if reason == "the winner's own policy":
        if len(offered) < 2:
            return ""  # there was nothing to choose from
        own = "The winner trains on all data" if arm == "full" else f"The winner's own policy is {arm}"
        return f"{own}: no other policy that was confirmed had a better mean on validation; no test of them."
    if offered and arm not in offered:
        return f"Not compared with {rival}: the arm {arm} was removed from the space."
    return f"Not compared with {rival}: {reason}."


def not_better(view: StudyView) -> str:
    """Which policies did no better in the search than fresh random subsets."""
    best = best_of_arms(view)
    random = best.pop("fresh_random", None)
    if random is None:
        return ""
    behind = sorted(arm for arm, score in best.items() if arm not in ("full", "random") and score <= random)
    if not behind:
        return ""
    return (
        f"In the search, no better than fresh_random: {', '.join(behind)} "
        "(best validation result at the highest rung that both reached; one seed, so a hint and not a test)."
    )


def best_of_arms(view: StudyView) -> dict[str, float]:
    """How far the best score of each policy is from fresh_random's, at the highest rung that both reached."""
    by_arm: dict[str, dict[int, float]] = {}
    for trial in view.search:
        scores = by_arm.setdefault(trial.arm, {})
        for rung, score in trial.scores.items():
            if math.isfinite(score):
                scores[rung] = max(score, scores.get(rung, -math.inf))
    reference = by_arm.get("fresh_random", {})
    shared = {arm: max(set(scores) & set(reference), default=None) for arm, scores in by_arm.items()}
    if any(rung is not None for rung in shared.values()):
        # fresh_random itself is compared at each rival's rung, so its entry is a difference of zero
        return {arm: by_arm[arm][rung] - reference[rung] for arm, rung in shared.items() if rung is not None}
    return {}


def untried(view: StudyView) -> str:
    """Which policies of the space no trial of a finished search had."""
    missing = sorted(set(view.arms) - {trial.arm for trial in view.search})
    if not missing or view.history.phase == SEARCH:
        return ""
    return (
        f"Not tried: {', '.join(missing)}. Nothing is claimed against them; a larger budget, or "
        "FairStart(share=1.0), reaches them."
    )


def removed(view: StudyView) -> str:
    """Which of the arms that every search should have it did not have."""
    missing = [arm for arm in ("full", "fresh_random") if view.arms and arm not in view.arms]
    if view.space is not None and "policy" not in view.space.parameters:
        return "Without a policy in its space the search was of settings alone, all on full data."
    if not missing:
        return ""
    return f"Removed from the space by the user: {' and '.join(missing)}. Nothing is claimed against them."


def cost(view: StudyView) -> list[str]:
    """What was spent, phase by phase, in words."""
    phases = view.phases
    if not phases:
        return ["Nothing was spent yet."]
    spent = [f"{PHASES.get(name, name)} {epochs(view.epochs(ledger))}" for name, ledger in phases.items()]
    seconds = view.total.total.seconds
    line = f"Cost: {', '.join(spent)} (reference epoch-equivalents); {duration(seconds)} of device time"
    if view.wall_s:
        line += f" within {duration(view.wall_s)}"
    if (bill := view.bill) is not None:
        said = gaps(bill)
        line += f"; {money(bill.total)} in money" + (f" ({said})" if said else "")
    states = [trial.status for trial in view.search]
    return [
        f"{line}.",
        f"The search tried {len(states)} configurations, {states.count(Status.DONE)} of them to the end, "
        f"{states.count(Status.FAILED)} failed; {share(view.wasted())} of its compute went into trials that "
        "did not finish.",
    ]


def gaps(bill: Bill) -> str:
    """What of a bill bought no work, and what keeps it from being whole or right; empty when nothing does."""
    said = []
    if bill.idle:
        said.append(f"{money(bill.idle)} of it for machines that booted or had nothing to do")
    if bill.unpriced:
        said.append(f"no price was given for {', '.join(bill.unpriced)}: its time is left out")
    if bill.unused:
        said.append(f"prices were given for {', '.join(bill.unused)}, where nothing ran")
    return "; ".join(said)


def settings(config: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    """A configuration on one line."""
    return ", ".join(f"{name}={setting(value)}" for name, value in config.items() if name not in without)
