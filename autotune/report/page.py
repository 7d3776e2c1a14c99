"""The report of a study, as one HTML file."""

from __future__ import annotations

from pathlib import Path

from autotune.errors import FolderError
from autotune.report import sections
from autotune.report.charts.svg import Markup, colour, escape, join, tag
from autotune.report.document import document, write_document
from autotune.report.view import StudyView
from autotune.storage.location import Location, Remote, locate


def write_page(study: str | Path | Remote | StudyView, out: str | Path | Remote | None = None) -> Location:
    """Write the report of a study, finished or not.

    Args:
        study: Its folder, or what was read from there.
        out: The file to write; `result/report.html` in the study's folder when None.

    Raises:
        FolderError: When the folder holds no study, or one of a newer format.
        LogError: When its log is damaged.
        StorageError: When the file cannot be written.
    """
    view = study if isinstance(study, StudyView) else StudyView.load(study)
    if out is not None:
        return write_document(page(view), locate(out))
    if view.path is None:
        raise FolderError("this study was read from events alone; say where its report is to be written")
    return write_document(page(view), view.path / "result" / "report.html")


def page(view: StudyView) -> str:
    """The whole document."""
    return document(f"{view.name} · autotune", _body(view))


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
            sections.front(view, colours) or Markup(""),
            sections.judgement(view),
            sections.spending(view),
            sections.trials(view),
            sections.origin(view),
            tag("footer", escape(f"Made by autotune from the trial log of {view.name}; it loads nothing.")),
        ]
    )
