"""How trials learned from rung to rung."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from autotune.history import Trial
from autotune.report.charts.scale import Scale, quantile, thinned, x_axis, y_axis
from autotune.report.charts.svg import Markup, join, polyline, svg, tag
from autotune.report.numbers import epochs, number
from autotune.report.view import StudyView

WIDTH: Final = 520
HEIGHT: Final = 320
CURVES: Final = 160
LOWEST: Final = 0.1  # share of the results that may lie below the axis


def learning_curves(view: StudyView, colours: Mapping[str, str]) -> Markup | None:
    """The score of each trial at each rung it reached, coloured by policy; None without results."""
    trials = [trial for trial in view.search if _finite(trial)]
    if not trials or not view.rungs:
        return None
    left, right, top, bottom = 58, WIDTH - 16, 34, HEIGHT - 46
    scores = [score for trial in trials for _, score in _finite(trial)]
    x = Scale.over(view.rungs, left + 10, right, log=True)
    y = Scale.over([quantile(scores, LOWEST), max(scores)], bottom, top).widened(0.04)
    return svg(
        WIDTH,
        HEIGHT,
        f"Validation {view.metric} of each trial by rung",
        y_axis(y, left, right, f"validation {view.metric}", view.sign),
        x_axis(x, bottom, "fidelity at the rung, own epoch-equivalents (ee)", thinned(view.rungs, x, 34)),
        join(_curve(view, trial, x, y, colours) for trial in reversed(chosen(trials, CURVES))),
    )


def chosen(trials: list[Trial], most: int) -> list[Trial]:
    """At most so many: half of them those that went furthest, the rest spread evenly over the others."""
    ranked = sorted(trials, key=lambda trial: (-trial.rung, -trial.score, trial.number))
    if len(ranked) <= most:
        return ranked
    leaders, others = ranked[: most // 2], ranked[most // 2 :]
    return leaders + others[:: math.ceil(len(others) / (most - most // 2))]


def _finite(trial: Trial) -> list[tuple[int, float]]:
    return [(rung, score) for rung, score in sorted(trial.scores.items()) if math.isfinite(score)]


def _curve(view: StudyView, trial: Trial, x: Scale, y: Scale, colours: Mapping[str, str]) -> Markup:
    results = _finite(trial)
    places = [(x(view.rungs[rung]), y(score)) for rung, score in results]
    rung, score = results[-1]
    tip = f"trial {trial.number}, {trial.arm}: {number(view.sign * score)} at {epochs(view.rungs[rung])}"
    end = tag("circle", cx=places[-1][0], cy=places[-1][1], r=2.6, class_=f"dot {colours[trial.arm]}")
    line = polyline(places, class_=f"curve {colours[trial.arm]}") if len(places) > 1 else Markup("")
    return tag("g", line, end, data_tip=tip)
