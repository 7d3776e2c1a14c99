"""The winner against each baseline: the difference, its interval, and the margin that would not matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from autotune.report.charts.scale import Scale, x_axis
from autotune.report.charts.svg import Markup, join, svg, tag, text
from autotune.report.numbers import signed

WIDTH: Final = 520
ROW: Final = 58
TOP: Final = 30


def forest(comparisons: Sequence[Mapping[str, Any]], margin: float, confidence: float) -> Markup | None:
    """One row per comparison that has an interval; None without any."""
    rows = [one for one in comparisons if "mean" in one and math.isfinite(float(one["mean"]))]
    if not rows:
        return None
    bottom = TOP + ROW * len(rows)
    ends = [value for one in rows for value in (float(one["low"]), float(one["high"]))]
    x = Scale.over([*ends, 0.0, -margin, margin], 20, WIDTH - 20).widened(0.05)
    zero = x(0.0)
    return svg(
        WIDTH,
        bottom + 44,
        f"Difference of the winner from each baseline with {100 * confidence:g} % intervals",
        tag(
            "rect",
            x=x(-margin),
            y=TOP - 6,
            width=x(margin) - x(-margin),
            height=bottom - TOP + 6,
            class_="margin",
        ),
        tag("line", x1=zero, x2=zero, y1=TOP - 6, y2=bottom, class_="zero"),
        text(20, 14, "← baseline better", class_="note"),
        text(WIDTH - 20, 14, "winner better →", anchor="end", class_="note"),
        x_axis(x, bottom, "advantage of the winner, in the units of the metric"),
        join(_row(one, x, TOP + ROW * index) for index, one in enumerate(rows)),
    )


def _row(one: Mapping[str, Any], x: Scale, top: float) -> Markup:
    low, mean, high = x(float(one["low"])), x(float(one["mean"])), x(float(one["high"]))
    y = top + 36
    kind = str(one["answer"]).split(" ")[0]
    tip = f"{signed(one['mean'])} ({signed(one['low'])} to {signed(one['high'])})"
    return tag(
        "g",
        text(20, top + 16, f"against {one['baseline']}", class_="title halo"),
        text(WIDTH - 20, top + 16, str(one["answer"]), anchor="end", class_="strong halo"),
        tag("line", x1=low, x2=high, y1=y, y2=y, class_=f"interval {kind}"),
        tag("line", x1=low, x2=low, y1=y - 5, y2=y + 5, class_=f"interval {kind}"),
        tag("line", x1=high, x2=high, y1=y - 5, y2=y + 5, class_=f"interval {kind}"),
        tag("circle", cx=mean, cy=y, r=5, class_=f"mean {kind}"),
        data_tip=tip,
    )
