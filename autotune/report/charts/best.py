"""How good the best result was after so much compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from autotune.report.charts.scale import Scale, quantile, x_axis, y_axis
from autotune.report.charts.svg import Markup, join, polyline, svg, tag, text
from autotune.report.numbers import epochs, number
from autotune.report.view import Point, StudyView

WIDTH: Final = 520
HEIGHT: Final = 320
DOTS: Final = 500
LOWEST: Final = 0.15  # share of the results that may lie below the axis


def best_over_compute(view: StudyView, colours: Mapping[str, str]) -> Markup | None:
    """Every result of the search by when it was paid for, and the best until then; None without results."""
    points = [point for point in view.points if math.isfinite(point.score)]
    if not points:
        return None
    left, right, top, bottom = 58, WIDTH - 12, 34, HEIGHT - 46
    best = view.best()
    low = min(quantile([point.score for point in points], LOWEST), best[0].score)
    x = Scale(0.0, max(points[-1].spent, 1e-12), left, right)
    y = Scale.over([low, best[-1].score], bottom, top).widened(0.04)
    line = [(x(point.spent), y(point.score)) for point in _steps(best, points[-1].spent)]
    last = best[-1]
    shown = number(view.sign * last.score)
    below = sum(point.score < y.low for point in points)
    notes = (
        [text(right, bottom - 6, f"{below} results lie below", anchor="end", class_="note halo")]
        if below
        else []
    )
    return svg(
        WIDTH,
        HEIGHT,
        f"Best validation {view.metric} over search compute; {shown} in the end",
        y_axis(y, left, right, f"validation {view.metric}", view.sign),
        x_axis(x, bottom, "search compute, reference epoch-equivalents (ee)"),
        join(_dot(view, point, x, y, colours) for point in _thinned(points) if point.score >= y.low),
        polyline(line, class_="best"),
        tag("circle", cx=line[-1][0], cy=line[-1][1], r=4, class_="lead"),
        text(right, y(last.score) - 8, f"best {shown}", anchor="end", class_="strong"),
        *notes,
    )


def _steps(best: list[Point], end: float) -> list[Point]:
    steps: list[Point] = []
    for point in best:
        if steps:
            steps.append(steps[-1]._replace(spent=point.spent))
        steps.append(point)
    return [*steps, steps[-1]._replace(spent=end)]


def _thinned(points: list[Point]) -> list[Point]:
    """At most so many of them, evenly over the search."""
    return points[:: math.ceil(len(points) / DOTS)]


def _dot(view: StudyView, point: Point, x: Scale, y: Scale, colours: Mapping[str, str]) -> Markup:
    arm = view.history.trials[point.trial].arm
    score = number(view.sign * point.score)
    tip = f"trial {point.trial}, {arm}: {score} at {epochs(point.fidelity)}"
    return tag(
        "circle",
        cx=x(point.spent),
        cy=y(point.score),
        r=2.2 + 0.7 * point.rung,
        class_=f"dot {colours[arm]}",
        data_tip=tip,
    )
