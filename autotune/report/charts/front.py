"""The score of every trial beside what else was wanted of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from autotune.history import Trial
from autotune.report.charts.curves import chosen
from autotune.report.charts.scale import Scale, quantile, x_axis, y_axis
from autotune.report.charts.svg import Markup, join, polyline, svg, tag, text
from autotune.report.numbers import number
from autotune.report.view import StudyView

WIDTH: Final = 520
HEIGHT: Final = 320
DOTS: Final = 500
LOWEST: Final = 0.1  # share of the results that may lie below the axis
WIDE: Final = 30.0  # ratio of the largest to the smallest value, from which equal ratios get equal lengths


def front_chart(view: StudyView, metric: str, colours: Mapping[str, str]) -> Markup | None:
    """Trials of the search by score and one metric, the confirmed front as a line; None without results."""
    trials = [trial for trial in view.search if _finite(trial.score, trial.metrics.get(metric))]
    if not trials:
        return None
    left, right, top, bottom = 58, WIDTH - 16, 34, HEIGHT - 46
    front = [(float(one["metrics"].get(metric, math.nan)), float(one["score"])) for one in view.front]
    front = sorted(place for place in front if _finite(*place))
    values = [trial.metrics[metric] for trial in trials] + [value for value, _ in front]
    scores = [trial.score for trial in trials]
    wide = min(values) > 0 and max(values) / min(values) >= WIDE
    x = Scale.over(values, left + 10, right, log=wide)
    low = min([quantile(scores, LOWEST), *(score for _, score in front)])
    y = Scale.over([low, *scores, *(score for _, score in front)], bottom, top)
    y = Scale.over([low, y.high], bottom, top).widened(0.04)
    places = [(x(value), y(score)) for value, score in front]
    return svg(
        WIDTH,
        HEIGHT,
        f"Validation {view.metric} of each trial over its {metric}",
        y_axis(y, left, right, f"validation {view.metric}", view.sign),
        x_axis(x, bottom, metric),
        join(_bound(view, metric, x, top, bottom)),
        join(
            _dot(view, metric, trial, x, y, colours) for trial in chosen(trials, DOTS) if trial.score >= y.low
        ),
        polyline(places, class_="best") if len(places) > 1 else Markup(""),
        join(tag("circle", cx=px, cy=py, r=4, class_="lead") for px, py in places),
    )


def _finite(score: float, value: float | None) -> bool:
    return math.isfinite(score) and value is not None and math.isfinite(value)


def _bound(view: StudyView, metric: str, x: Scale, top: float, bottom: float) -> list[Markup]:
    """A line at each constraint on the metric that lies within the drawing."""
    drawn = []
    for one in view.aims.constraints:
        if one.metric == metric and x.low <= one.bound <= x.high:
            drawn.append(tag("line", x1=x(one.bound), x2=x(one.bound), y1=top, y2=bottom, class_="axis"))
            drawn.append(text(x(one.bound), top - 6, str(one), anchor="middle", class_="note halo"))
    return drawn


def _dot(
    view: StudyView, metric: str, trial: Trial, x: Scale, y: Scale, colours: Mapping[str, str]
) -> Markup:
    value = trial.metrics[metric]
    tip = (
        f"trial {trial.number}, {trial.arm}: {view.metric} {number(view.sign * trial.score)}, "
        f"{metric} {number(value)}"
    )
    place = {"cx": x(value), "cy": y(trial.score), "r": 2.2 + 0.7 * trial.rung}
    return tag("circle", **place, class_=f"dot {colours[trial.arm]}", data_tip=tip)
