"""Horizontal bars: one value per row, or several stacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from autotune.report.charts.svg import Markup, join, svg, tag, text

WIDTH: Final = 520
ROW: Final = 30
NAME: Final = 176
VALUE: Final = 66


def bars(label: str, rows: Sequence[tuple[str, float, str]]) -> Markup:
    """One bar per row of (name, value, shown value); values are not negative."""
    longest = max((value for _, value, _ in rows), default=0.0) or 1.0
    room = WIDTH - NAME - VALUE
    drawn = []
    for index, (name, value, shown) in enumerate(rows):
        y = index * ROW + 6
        drawn += [
            text(NAME - 8, y + 15, _short(name), anchor="end"),
            tag("rect", x=NAME, y=y + 2, width=room, height=ROW - 12, rx=3, class_="track"),
            tag("rect", x=NAME, y=y + 2, width=room * value / longest, height=ROW - 12, rx=3, class_="bar"),
            text(NAME + room + 8, y + 15, shown, class_="tick strong"),
        ]
    return svg(WIDTH, max(1, len(rows)) * ROW + 10, label, *drawn)


def stacked(
    label: str, rows: Sequence[tuple[str, Mapping[str, float], str]], colours: Mapping[str, str]
) -> Markup:
    """One bar per row of (name, value by part, shown total), parts in the order of `colours`."""
    longest = max((sum(parts.values()) for _, parts, _ in rows), default=0.0) or 1.0
    room = WIDTH - NAME - VALUE
    drawn = []
    for index, (name, parts, shown) in enumerate(rows):
        y, x = index * ROW + 6, float(NAME)
        drawn.append(text(NAME - 8, y + 15, _short(name), anchor="end"))
        for part, cls in colours.items():
            width = room * parts.get(part, 0.0) / longest
            if width > 0:
                tip = f"{name}, {part}: {100 * parts[part] / sum(parts.values()):.1f} %"
                drawn.append(
                    tag("rect", x=x, y=y + 2, width=width, height=ROW - 12, class_=cls, data_tip=tip)
                )
            x += width
        drawn.append(text(max(x, NAME) + 8, y + 15, shown, class_="tick strong"))
    return svg(WIDTH, max(1, len(rows)) * ROW + 10, label, join(drawn))


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
