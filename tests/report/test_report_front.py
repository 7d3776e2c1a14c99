"""The page and the words of a study that wanted more than a score."""

from dataclasses import replace

import pytest
from synthetic import study
from test_report_page import checked

from autotune.events import Concluded, Opened, Reported
from autotune.report.front import front_words
from autotune.report.page import page
from autotune.report.tables import front_table
from autotune.report.view import StudyView

OBJECTIVES = [{"metric": "latency_ms", "mode": "min"}]
CONSTRAINTS = [{"metric": "latency_ms", "at_most": 50.0}]


def wanting(mode="max", **plan):
    """A study whose trials take as many milliseconds as they are wide, and whose winner is its front."""
    widths = {}
    for event in study(trials=30, mode=mode):
        match event:
            case Opened():
                yield Opened({**event.study, "plan": {**event.study["plan"], **plan}})
            case Reported():
                yield replace(event, metrics={**event.metrics, "latency_ms": float(widths[event.trial])})
            case Concluded():
                winner = event.verdict["winner"]
                front = {key: winner[key] for key in ("origin", "config", "arm", "trials")}
                front |= {"score": 0.9, "metrics": {"latency_ms": 12.5}}
                yield replace(event, verdict={**event.verdict, "front": [front]})
            case _:
                if hasattr(event, "config"):
                    widths[event.trial] = event.config["width"]
                yield event


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_front_is_drawn_told_and_listed(mode):
    view = StudyView.of(wanting(mode, objectives=OBJECTIVES, constraints=CONSTRAINTS))
    text = page(view)
    checked(text)
    assert "Objectives and constraints" in text
    assert "latency_ms &lt;= 50" in text
    origin, shown = view.verdict["winner"]["origin"], "0.9" if mode == "max" else "−0.9"
    front, kept = front_words(view)
    assert front.endswith(f"after confirmation: trial {origin}: accuracy {shown}, latency_ms 12.5.")
    tried = [trial for trial in view.search if trial.failure is None]
    below = sum(trial.config["width"] <= 50 for trial in tried)
    assert (
        kept
        == f"Constraints: latency_ms <= 50; {below} of {len(tried)} search trials with a result keep them."
    )
    assert "12.5" in front_table(view)


def test_who_keeps_the_constraint_leads():
    view = StudyView.of(wanting(constraints=CONSTRAINTS))
    kept = [trial.config["width"] <= 50 for trial in view.leaders()]
    assert kept == sorted(kept, reverse=True)
    assert not all(kept)


def test_a_study_without_aims_has_neither():
    view = StudyView.of(wanting())
    assert front_words(view) == []
    assert "what else was wanted" not in page(view)
