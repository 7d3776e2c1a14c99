"""Which settings went with which result: one line per trial across one axis per parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autotune.history import Trial
from autotune.report.charts.curves import chosen
from autotune.report.charts.scale import Scale
from autotune.report.charts.svg import Markup, join, polyline, svg, tag, text
from autotune.report.numbers import number, setting
from autotune.report.view import StudyView

WIDTH: Final = 1080
HEIGHT: Final = 400
LINES: Final = 240
AXES: Final = 12
TOP: Final = 52
BOTTOM: Final = HEIGHT - 56
ABSENT: Final = HEIGHT - 22  # where a line passes an axis that its trial does not have
OPTIONS: Final = 10  # labels on one axis
LETTERS: Final = 13


@dataclass(frozen=True)
class Axis:
    """One parameter: where its values lie from bottom to top, and which of them are labelled."""

    name: str
    places: Mapping[str, float]
    scale: Scale | None

    def __call__(self, value: Any) -> float:
        """The place of a value; that of `None` is the lane below the axis."""
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return float(ABSENT)
        return self.scale(float(value)) if self.scale is not None else self.places[setting(value)]

    def labels(self) -> list[tuple[float, str]]:
        """Places and texts of what is labelled."""
        if self.scale is not None:
            return _spaced(self.scale)
        stride = math.ceil(len(self.places) / OPTIONS)
        return [(place, name) for name, place in list(self.places.items())[::stride]]


def _spaced(scale: Scale) -> list[tuple[float, str]]:
    """Both ends of a scale, and those ticks between them that stand clear of other labels."""
    found: list[tuple[float, str]] = []
    for tick in (scale.low, scale.high, *scale.ticks(4)):
        if all(abs(scale(tick) - place) >= 18 for place, _ in found):
            found.append((scale(tick), number(tick, 3)))
    return found


def parallel(view: StudyView, colours: Mapping[str, str]) -> Markup | None:
    """Parameters of the search, then the score at the last rung reached; None without finite scores."""
    trials = chosen([trial for trial in view.search if math.isfinite(trial.score)], LINES)
    axes = [axis for name in _names(trials) if (axis := _axis(name, trials)) is not None]
    if not trials or not axes:
        return None
    axes = axes[: AXES - 1]
    scores = [view.sign * trial.score for trial in trials]
    ends = (BOTTOM, TOP) if view.sign > 0 else (TOP, BOTTOM)  # better is always up
    axes.append(Axis(view.metric, {}, Scale.over(scores, *ends)))
    step = (WIDTH - 150) / (len(axes) - 1)
    xs = [60 + step * index for index in range(len(axes))]
    gaps = any(axis.name not in trial.config for trial in trials for axis in axes[:-1])
    lines = [_line(view, trial, axes, xs, colours, rank, len(trials)) for rank, trial in enumerate(trials)]
    return svg(
        WIDTH,
        HEIGHT,
        f"Settings of {len(trials)} trials and their validation {view.metric}",
        join(reversed(lines)),
        join(
            _drawn(axis, x, int((step - 10) / 6.8), last=axis is axes[-1])
            for axis, x in zip(axes, xs, strict=True)
        ),
        *(
            [text(4, ABSENT + 18, "bottom lane: the trial does not have this parameter", class_="note")]
            if gaps
            else []
        ),
    )


def _names(trials: Sequence[Trial]) -> list[str]:
    names = dict.fromkeys(name for trial in trials for name in trial.config)
    parents = list(dict.fromkeys(name.split(".")[0] for name in names))  # children stand beside their parent
    return sorted(names, key=lambda name: (parents.index(name.split(".")[0]), name.count(".")))


def _axis(name: str, trials: Sequence[Trial]) -> Axis | None:
    """None for a parameter that never changes."""
    values = [trial.config[name] for trial in trials if name in trial.config]
    if len({setting(value) for value in values}) < 2:
        return None
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numeric or len(set(values)) <= 4:
        options = sorted(set(values), key=lambda value: (not numeric, value if numeric else str(value)))
        gap = (BOTTOM - TOP) / (len(options) - 1)
        return Axis(name, {setting(o): BOTTOM - gap * k for k, o in enumerate(options)}, None)
    log = min(values) > 0 and max(values) / min(values) >= 20
    return Axis(name, {}, Scale.over([float(value) for value in values], BOTTOM, TOP, log=log))


def _line(
    view: StudyView,
    trial: Trial,
    axes: Sequence[Axis],
    xs: Sequence[float],
    colours: Mapping[str, str],
    rank: int,
    count: int,
) -> Markup:
    values = [trial.config.get(axis.name) for axis in axes[:-1]] + [view.sign * trial.score]
    places = [(x, axis(value)) for x, axis, value in zip(xs, axes, values, strict=True)]
    tip = f"trial {trial.number}, {trial.arm}: {number(view.sign * trial.score)}"
    lead = rank < max(3, count // 20)
    return polyline(
        places,
        class_=f"thread {colours[trial.arm]}{' lead' if lead else ''}",
        data_tip=tip,
    )


def _drawn(axis: Axis, x: float, letters: int, last: bool) -> Markup:
    parent, _, own = axis.name.rpartition(".")
    labels = [
        text(x + 6, place + 4, _short(label, min(letters, LETTERS)), class_="tick halo")
        for place, label in axis.labels()
    ]
    return join(
        [
            tag("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="axis"),
            tag("circle", cx=x, cy=ABSENT, r=0 if last else 2, class_="lane"),
            text(x, 18, _short(parent, letters + 2), anchor="middle", class_="note"),
            text(x, 34, _short(own, letters + 2), anchor="middle", class_="strong" if last else "title"),
            *labels,
        ]
    )


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
