"""The tables of the page: who was confirmed, what was spent, every trial, where it ran."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from autotune.history import Status, Trial
from autotune.ledger import Label, Ledger
from autotune.report.charts.svg import Markup, escape, join, tag
from autotune.report.front import name, values
from autotune.report.numbers import duration, epochs, flops, money, number, share
from autotune.report.view import StudyView
from autotune.report.words import PHASES, settings

TRIALS: Final = 50
LONG: Final = 30  # letters, from which a cell wraps


def table(head: Sequence[str], rows: Iterable[Sequence[object]], class_: str = "") -> Markup:
    """A table; numbers given as (shown, value) sort by their value and stand to the right."""
    header = tag("tr", *(tag("th", escape(name), scope="col") for name in head))
    body = [tag("tr", *(_cell(cell) for cell in row)) for row in rows]
    inner = tag("table", tag("thead", header), tag("tbody", *body), class_=class_ or None)
    return tag("div", inner, class_="scroll")


def _cell(cell: object) -> Markup:
    if isinstance(cell, tuple):
        shown, value = cell
        sortable = f"{value:.17g}" if math.isfinite(value) else "-1e999"
        return tag("td", escape(shown), class_="n", data_sort=sortable)
    return tag("td", escape(cell), class_="long" if len(str(cell)) > LONG else None)


def confirmed_table(view: StudyView) -> Markup | None:
    """The winner and the baselines, over their seeds; None while nothing is confirmed."""
    winner = view.verdict.get("winner")
    if not winner:
        return None
    entries = [winner, *view.verdict.get("baselines", {}).values()]
    rows = [
        [
            "winner" if entry is winner else "baseline",
            entry["arm"],
            "made" if entry.get("origin") is None else f"trial {entry['origin']}",
            _spread(view, entry.get("validation", ())),
            _spread(view, entry.get("test", ())),
            settings(entry["config"], ("policy",)),  # it has a column of its own
        ]
        for entry in entries
    ]
    head = ("", "policy", "from", f"validation {view.metric}", f"test {view.metric}", "settings")
    return table(head, rows, "confirmed")


def _spread(view: StudyView, scores: Sequence[Any]) -> str:
    finite = [view.sign * float(score) for score in scores if math.isfinite(float(score))]
    if not finite:
        return "–"
    spread = f" ± {number(stdev(finite), 2)}" if len(finite) > 1 else ""
    return f"{number(fmean(finite))}{spread} (n = {len(finite)})"


def front_table(view: StudyView) -> Markup | None:
    """The configurations on the front, the best score first; None without aims, or before the verdict."""
    if not view.front:
        return None
    names = view.aims.metrics
    rows = [
        [
            name(one),
            one["arm"],
            *((number(value), value) for value in (view.sign * float(one["score"]), *values(view, one))),
            (str(len(one["trials"])), float(len(one["trials"]))),
            settings(one["config"], ("policy",)),
        ]
        for one in view.front
    ]
    head = ("from", "policy", f"validation {view.metric}", *names, "seeds", "settings")
    return table(head, rows, "sortable")


def ledger_table(view: StudyView) -> Markup:
    """Labels by phase in reference epochs, and the totals in every unit."""
    phases, total = view.phases, view.total
    whole = view.epochs(total)
    columns = [*phases.values(), total]

    def of(label: Label, ledger: Ledger) -> tuple[str, float]:
        return _epochs(view.epochs(Ledger({label: ledger[label]})))

    rows: list[list[object]] = [
        [
            label.value,
            *(of(label, ledger) for ledger in columns),
            _share(of(label, total)[1], whole),
            _duration(total[label].seconds),
            *_money(view, Ledger({label: total[label]})),
        ]
        for label in Label
    ]
    all_of_it = [_share(1, 1), _duration(total.total.seconds), *_money(view, total)]
    rows.append(["all, ee", *(_epochs(view.epochs(ledger)) for ledger in columns), *all_of_it])
    pad = [""] * len(all_of_it)
    rows.append(["all, FLOPs", *(_flops(ledger.total.flops) for ledger in columns), *pad])
    rows.append(["all, device time", *(_duration(ledger.total.seconds) for ledger in columns), *pad])
    if (bill := view.bill) is not None:
        amounts = [*(bill.phases.get(phase, 0.0) for phase in phases), bill.total]
        if bill.idle is not None:
            idle = [*("" for _ in phases), (money(bill.idle), bill.idle)]
            rows.append(["idle and booting machines, money", *idle, *pad])
        rows.append(["all, money", *((money(amount), amount) for amount in amounts), *pad])
    head = ["", *(PHASES.get(phase, phase) for phase in phases), "all", "share", "device time"]
    return table([*head, *_money_head(view)], rows, "ledger")


def _money(view: StudyView, ledger: Ledger) -> list[tuple[str, float]]:
    """A cell for what a ledger cost, where there are prices."""
    amount = view.cost(ledger)
    return [] if amount is None else [(money(amount), amount)]


def _money_head(view: StudyView) -> list[str]:
    return [] if view.bill is None else ["money"]


def _epochs(value: float) -> tuple[str, float]:
    return (epochs(value), value)


def _flops(value: float) -> tuple[str, float]:
    return (flops(value), value)


def _duration(value: float) -> tuple[str, float]:
    return (duration(value), value)


def _share(value: float, whole: float) -> tuple[str, float]:
    part = value / whole if whole else 0.0
    return (share(part), part)


def trials_table(view: StudyView) -> Markup:
    """The leading trials, and those without a result after them."""
    leaders = view.leaders()
    known = {trial.number for trial in leaders}
    rest = [trial for trial in view.search if trial.number not in known]
    hidden = ("policy", *_constant(view))
    shown = [*leaders, *rest][:TRIALS]
    rows = [_row(view, place, trial, hidden) for place, trial in enumerate(shown, start=1)]
    head = ["place", "trial", "policy", f"validation {view.metric}", "fidelity", "cost", *_money_head(view)]
    return table([*head, "state", "settings"], rows, "sortable trials")


def _constant(view: StudyView) -> list[str]:
    """Settings that all trials share."""
    configs = [trial.config for trial in view.search]
    first = configs[0] if len(configs) > 1 else {}
    return [name for name, value in first.items() if all(one.get(name) == value for one in configs)]


def _row(view: StudyView, place: int, trial: Trial, hidden: Sequence[str]) -> list[object]:
    cost = view.epochs(trial.ledger)
    score = view.sign * trial.score
    return [
        (str(place), float(place)),
        (str(trial.number), float(trial.number)),
        trial.arm,
        ("–" if math.isnan(score) else number(score), score),
        (epochs(trial.fidelity), trial.fidelity),
        _epochs(cost),
        *_money(view, trial.ledger),
        _state(view, trial),
        settings(trial.config, hidden),
    ]


def _state(view: StudyView, trial: Trial) -> str:
    if trial.failure is not None:
        return f"failed: {trial.failure[0]}"
    if trial.status is Status.WAITING and view.history.phase != "search":
        return "stopped early"
    return trial.status.value


def failures_table(view: StudyView) -> Markup | None:
    """How trials failed, the most frequent first; None when none did."""
    counted: dict[tuple[str, str], list[int]] = {}
    for trial in view.history.trials.values():
        if trial.failure is not None:
            counted.setdefault(trial.failure, []).append(trial.number)
    if not counted:
        return None
    ranked = sorted(counted.items(), key=lambda item: -len(item[1]))[:10]
    rows = [
        [(str(len(numbers)), float(len(numbers))), kind, message[:300], f"trial {numbers[0]}"]
        for (kind, message), numbers in ranked
    ]
    return table(("trials", "kind", "message", "first"), rows)


def provenance(view: StudyView) -> Markup:
    """What it ran on and with, so that it can be repeated."""
    study: Mapping[str, Any] = view.history.study
    versions = view.history.versions
    shown = {
        **{name: value for name, value in study.items() if name not in ("space", "plan")},
        "drivers": view.history.drivers,
        **{name if name in _MACHINE else f"version of {name}": v for name, v in versions.items()},
    }
    rows = [tag("div", tag("dt", escape(name)), tag("dd", escape(_plain(v)))) for name, v in shown.items()]
    plan = json.dumps(study.get("plan", {}), indent=2)
    return join(
        [
            tag("dl", *rows),
            tag("details", tag("summary", escape("Plan")), _pre(plan)),
            tag("details", tag("summary", escape("Search space")), _pre(str(study.get("space", "")))),
        ]
    )


_MACHINE: Final = ("machine", "cores")


def _pre(text: str) -> Markup:
    return tag("pre", join(f"{escape(line)}\n" for line in text[:20000].splitlines()))  # type: ignore[misc]  # escaped


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return number(value) if isinstance(value, float) else str(value)
