"""The report as one HTML file that needs no network, now or in ten years."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from pathlib import Path
from string import Template

from autotune.errors import StorageError
from autotune.report import sections
from autotune.report.charts.svg import Markup, colour, escape, join, tag
from autotune.report.view import StudyView


def write_page(path: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of the study in a folder, finished or not.

    Args:
        path: The study's folder.
        out: The file to write; `result/report.html` in the study's folder when None.

    Raises:
        FolderError: When the folder holds no study, or one of a newer format.
        LogError: When its log is damaged.
        StorageError: When the file cannot be written.
    """
    target = Path(path) / "result" / "report.html" if out is None else Path(out)
    text = page(StudyView.load(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_name(f"{target.name}.{os.getpid()}")  # a reader never sees half a page
        half.write_text(text, encoding="utf-8")
        half.replace(target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}; choose another --out") from error
    return target


def page(view: StudyView) -> str:
    """The whole document."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        policy=policy, title=escape(f"{view.name} · autotune"), style=style, script=script, body=_body(view)
    )


def _asset(name: str) -> str:
    return files("autotune.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _body(view: StudyView) -> Markup:
    arms = dict.fromkeys((*view.arms, *(trial.arm for trial in view.search)))
    colours = {arm: colour(index) for index, arm in enumerate(arms)}
    return join(
        [
            sections.header(view),
            sections.findings(view),
            sections.tiles(view),
            sections.progress(view, colours),
            sections.settings(view, colours),
            sections.judgement(view),
            sections.spending(view),
            sections.trials(view),
            sections.origin(view),
            tag("footer", escape(f"Made by autotune from the trial log of {view.name}; it loads nothing.")),
        ]
    )
