"""SVG and HTML as text, with everything that is not markup escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final, NewType

Markup = NewType("Markup", str)  # already escaped; anything else is text
COLOURS: Final = 8  # classes c0..c7 of the style sheet; what comes after them is `cx`


def escape(text: object) -> Markup:
    """Text, safe as content and inside double quotes; control characters, which no browser shows, are cut."""
    shown = "".join(c if c.isprintable() or c == " " else "�" for c in str(text))
    return Markup(html.escape(shown, quote=True))


def tag(name: str, *content: Markup, **attributes: object) -> Markup:
    """An element; attribute `class_` becomes `class`, and other underscores become dashes.

    >>> tag("rect", x=1, fill_opacity=0.5, class_="c0")
    '<rect x="1" fill-opacity="0.5" class="c0"/>'
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    void = not content and name in {"rect", "circle", "path", "line", "meta", "img"}
    return Markup(f"<{name}{shown}/>" if void else f"<{name}{shown}>{''.join(content)}</{name}>")


def text(x: float, y: float, content: object, *, anchor: str = "start", class_: str = "tick") -> Markup:
    """Text at a place; `anchor` is `start`, `middle` or `end`."""
    return tag("text", escape(content), x=x, y=y, text_anchor=anchor, class_=class_)


def join(parts: Iterable[Markup]) -> Markup:
    """Markup after markup."""
    return Markup("".join(parts))


def svg(width: float, height: float, label: str, *content: Markup) -> Markup:
    """A drawing that scales with its container; `label` says what it shows to those who cannot see it."""
    return tag(
        "svg",
        *content,
        viewBox=f"0 0 {_attribute(width)} {_attribute(height)}",
        role="img",
        aria_label=label,
        class_="chart",
    )


def polyline(points: Sequence[tuple[float, float]], **attributes: object) -> Markup:
    """A line through points; steps and curves are the caller's business."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", d=path, fill="none", **attributes)


def colour(index: int) -> str:
    """The class that colours the index-th series."""
    return f"c{index}" if index < COLOURS else "cx"


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """Names with their colour classes, wrapping as the page needs."""
    items = [tag("li", tag("i", class_=f"swatch {cls}"), escape(name)) for cls, name in entries]
    return tag("ul", *items, class_="legend")


def _attribute(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 else f"{value:.3g}"
    return escape(value)
