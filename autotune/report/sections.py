"""The sections of the page, from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Final

from autotune.account import FAILED, FINISHED, INTERRUPTED, OPEN, STOPPED, fates
from autotune.history import Status
from autotune.ledger import Label, Ledger
from autotune.report import parts
from autotune.report.charts.bars import bars, stacked
from autotune.report.charts.best import best_over_compute
from autotune.report.charts.curves import CURVES, learning_curves
from autotune.report.charts.forest import forest
from autotune.report.charts.front import front_chart
from autotune.report.charts.parallel import LINES, parallel
from autotune.report.charts.svg import Markup, colour, escape, join, legend, tag
from autotune.report.front import front_words
from autotune.report.importance import importances
from autotune.report.numbers import duration, epochs, money, number, share
from autotune.report.parts import section
from autotune.report.tables import (
    TRIALS,
    confirmed_table,
    failures_table,
    front_table,
    ledger_table,
    provenance,
    trials_table,
)
from autotune.report.view import StudyView
from autotune.report.words import (
    PHASES,
    comparisons,
    flattered,
    gaps,
    headline,
    judged,
    not_better,
    removed,
    untried,
)

LABELS: Final = {label.value: f"part {colour(k)}" for k, label in zip((1, 3, 5, 6, 4, 0), Label, strict=True)}
FATES: Final = {
    FINISHED: "part c4",
    STOPPED: "part c6",
    FAILED: "part c3",
    INTERRUPTED: "part c5",
    OPEN: "part cx",
}


def header(view: StudyView) -> Markup:
    """The name of the study, and whether it is over."""
    won = bool(view.verdict.get("winner"))
    state = "finished" if won else "finished without a winner"
    if not view.done:
        state = f"unfinished: {PHASES.get(view.history.phase, view.history.phase)}"
    brand = "training settings and data policy, searched together"
    return parts.header(view.name, brand, state, "done" if won else "open")


def findings(view: StudyView) -> Markup:
    """The verdict in plain words."""
    answers = [str(one.get("answer") or "not compared") for one in view.verdict.get("comparisons", ())]
    said = zip(answers, comparisons(view), strict=True)
    rows = [_finding(answer, line) for answer, line in said if line]
    notes = (flattered(view), *front_words(view), not_better(view), untried(view), removed(view))
    rows += [_finding("note", line) for line in notes if line]
    return tag(
        "section",
        tag("p", escape(headline(view)), class_="lede"),
        tag("ul", *rows, class_="findings") if rows else Markup(""),
    )


def _finding(answer: str, line: str) -> Markup:
    kind = answer.split(" ")[0]
    return tag(
        "li",
        tag("span", escape(kind if kind != "not" else answer), class_=f"chip {kind}"),
        tag("div", escape(line)),
    )


def tiles(view: StudyView) -> Markup:
    """The figures that are asked for first."""
    spent = {phase: view.epochs(ledger) for phase, ledger in view.phases.items()}
    states = [trial.status for trial in view.search]
    figures = [_score_tile(view)]
    figures.append((f"{len(states)}", f"configurations, {states.count(Status.FAILED)} failed"))
    figures.append((epochs(spent.get("search", 0.0)), "search compute"))
    figures.append((epochs(sum(spent.values()) - spent.get("search", 0.0)), "confirming and testing"))
    figures.append((share(view.wasted()), "of search compute in unfinished trials"))
    figures.append((duration(view.total.total.seconds), "device time"))
    if view.wall_s:
        figures.append((duration(view.wall_s), "wall clock"))
    if (bill := view.bill) is not None:
        least = "at least: some machines have no price" if bill.unpriced else "cost at the given prices"
        figures.append((money(bill.total), least))
    return parts.tiles(figures)


def _score_tile(view: StudyView) -> tuple[str, str]:
    winner = view.verdict.get("winner")
    if winner:
        split, scores = judged(winner)
        finite = [score for score in scores if math.isfinite(score)]
        if finite:
            return number(view.sign * fmean(finite)), f"{split} {view.metric}, mean of {len(finite)} seeds"
    best = view.best()
    if not best:
        return "–", f"validation {view.metric}"
    return number(view.sign * best[-1].score), f"best validation {view.metric} so far"


def progress(view: StudyView, colours: Mapping[str, str]) -> Markup:
    """How results came with compute."""
    named = _policies(view, colours)
    best = best_over_compute(view, colours)
    curves = learning_curves(view, colours)
    few = f"at most {CURVES} trials are drawn" if len(view.search) > CURVES else "each line is a trial"
    return tag(
        "div",
        section(
            "Best result over compute", "Each dot is a result, larger at higher rungs.", best and named, best
        ),
        section("Learning by rung", f"Validation results, {few}.", curves and named, curves),
        class_="pair",
    )


def _policies(view: StudyView, colours: Mapping[str, str]) -> Markup:
    tried = {trial.arm for trial in view.search}
    named = [(cls, arm) for arm, cls in colours.items() if arm in tried and cls != "cx"]
    others = sum(cls == "cx" for arm, cls in colours.items() if arm in tried)
    named += [("cx", f"{others} more policies")] if others else []
    return Markup(legend(named).replace('class="legend"', 'class="legend picks"', 1))


def settings(view: StudyView, colours: Mapping[str, str]) -> Markup:
    """Which settings went with which result."""
    drawn = parallel(view, colours)
    named = _policies(view, colours)
    few = f" At most {LINES} trials are drawn." if len(view.search) > LINES else ""
    sub = f"One line per trial, coloured by policy; bold lines lead. Better is up.{few}"
    return section("Settings and results", sub, drawn and named, drawn and tag("div", drawn, class_="wide"))


def mattered(view: StudyView) -> Markup:
    """Which parameters mattered."""
    found = importances(view)
    sub = "Which parameters tell good trials from the rest; needs a dozen results at one rung."
    if found is None:
        return section("Parameter importance", sub)
    sub = (
        f"PED-ANOVA over {found.results} trials at {epochs(view.rungs[found.rung])}: which parameters tell "
        "the best quarter from the rest, beyond what shuffled results would."
    )
    rows = [(name, part, share(part)) for name, part in list(found.shares.items())[:10]]
    drawn = (
        bars("Importance of each parameter", rows)
        if rows
        else tag("p", escape("No parameter stands out."), class_="empty")
    )
    note = f"No more than chance: {', '.join(found.chance)}." if found.chance else ""
    return section("Parameter importance", sub, drawn, tag("p", escape(note), class_="sub") if note else None)


def front(view: StudyView, colours: Mapping[str, str]) -> Markup | None:
    """What else was wanted; None where nothing was."""
    if not view.aims:
        return None
    charts = [front_chart(view, metric, colours) for metric in view.aims.metrics]
    drawn = [chart for chart in charts if chart is not None]
    sub = (
        f"Trials of the search by validation {view.metric} and what else was wanted, larger at higher rungs; "
        "the line joins the confirmed front. Values are means over seeds."
    )
    shown = tag("div", *drawn, class_="halves") if drawn else None
    return section("Objectives and constraints", sub, shown, front_table(view))


def spending(view: StudyView) -> Markup:
    """What everything cost."""
    phases = [
        (
            PHASES.get(name, name),
            {label.value: view.epochs(Ledger({label: ledger[label]})) for label in Label},
            epochs(view.epochs(ledger)),
        )
        for name, ledger in view.phases.items()
    ]
    became = {fate: view.epochs(ledger) for fate, ledger in fates(view.history).items()}
    split = tag(
        "div",
        tag(
            "div",
            tag("h3", escape("By phase")),
            legend((cls, name) for name, cls in LABELS.items()),
            stacked("Compute by phase and label", phases, LABELS),
        ),
        tag(
            "div",
            tag("h3", escape("What became of the search's compute")),
            legend((cls, name) for name, cls in FATES.items() if name in became),
            stacked(
                "Search compute by fate", [(fate, {fate: v}, epochs(v)) for fate, v in became.items()], FATES
            ),
        ),
        class_="halves",
    )
    said = gaps(view.bill) if view.bill is not None else ""
    note = [tag("p", escape(f"Money: {said}."), class_="sub")] if said else []
    return section(
        "What it cost",
        "In reference epoch-equivalents (ee). Every FLOP and second has one label, choosing data included.",
        *([split, ledger_table(view), *note] if phases else []),
    )


def judgement(view: StudyView) -> Markup:
    """The winner beside its baselines, and what mattered."""
    verdict = view.verdict
    margin, confidence = float(verdict.get("margin", 0.0)), float(verdict.get("confidence", 0.95))
    sub = "The winner and its baselines, trained again from scratch, same seeds, as many epoch-equivalents."
    drawn = forest(verdict.get("comparisons", ()), margin, confidence)
    note = (
        f"Lines are {100 * confidence:g}% intervals of the paired difference, "
        f"the band is the margin of ±{number(margin, 2)}."
    ).replace("%", " %")
    caption = drawn and tag("p", escape(note), class_="sub")
    pair = tag("div", section("The comparison", sub, drawn, caption), mattered(view), class_="pair")
    confirmed = confirmed_table(view)
    if confirmed is None:
        return pair
    below = "Validation chose the winner; the test split was read once. Mean ± standard deviation over seeds."
    return join([pair, section("Confirmed candidates", below, confirmed)])


def trials(view: StudyView) -> Markup:
    """The trials that lead, and how others failed."""
    count = len(view.search)
    shown = f"the leading {TRIALS} of {count}" if count > TRIALS else f"all {count}"
    failed = failures_table(view)
    return section(
        "Trials",
        f"Of the search: {shown}, those trained longest first. Select a heading to sort.",
        trials_table(view) if count else None,
        failed and tag("h3", escape("Failures")),
        failed,
    )


def origin(view: StudyView) -> Markup:
    """Where the study ran and how it was set up."""
    return section("Where this comes from", "Enough to run it again.", provenance(view))
