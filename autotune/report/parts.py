"""Parts that every page is made of."""

from __future__ import annotations

from collections.abc import Iterable

from autotune.report.charts.svg import Markup, escape, tag


def header(name: str, brand: str, chip: str, class_: str) -> Markup:
    """The name of what the page is about, under what made it, and a word on its state."""
    return tag(
        "header",
        tag("div", tag("b", escape("autotune")), escape(f" · {brand}"), class_="brand"),
        tag("h1", escape(name)),
        tag("span", escape(chip), class_=f"chip {class_}"),
    )


def section(title: str, sub: str, *content: Markup | None, class_: str | None = None) -> Markup:
    """A titled card; what is None is left out, and a card without content says so."""
    shown = [part for part in content if part is not None]
    empty = tag("p", escape("Nothing to show yet."), class_="empty")
    heading = tag("h2", escape(title))
    return tag("section", heading, tag("p", escape(sub), class_="sub"), *(shown or [empty]), class_=class_)


def tiles(figures: Iterable[tuple[str, str]]) -> Markup:
    """Figures with what they count."""
    shown = [
        tag("div", tag("b", escape(value)), tag("span", escape(name)), class_="tile")
        for value, name in figures
    ]
    return tag("div", *shown, class_="tiles")
