"""A page as one HTML file that needs no network, now or in ten years."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template

from autotune.report.charts.svg import Markup, escape
from autotune.storage.location import Location
from autotune.storage.opening import write_text


def document(title: str, body: Markup, *, pictures: bool = False) -> str:
    """The whole document, with the style and the script of all pages inside.

    Args:
        title: Of the window.
        body: What it shows.
        pictures: Whether the body holds pictures, as `data:` addresses; nothing else is ever loaded.
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        f"{'img-src data:; ' if pictures else ''}base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        policy=policy, title=escape(title), style=style, script=script, body=body
    )


def write_document(text: str, target: Location) -> Location:
    """Write a page; a reader never sees half of it.

    Raises:
        StorageError: When the file cannot be written.
    """
    write_text(target, text, "choose another --out")
    return target


def _asset(name: str) -> str:
    return files("autotune.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
