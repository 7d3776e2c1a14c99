"""What a study wanted besides its score, and what it found of that, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autotune.report.numbers import number
from autotune.report.view import StudyView


def front_words(view: StudyView) -> list[str]:
    """The front after confirmation, and how many trials kept the constraints; nothing without aims."""
    said, aims = [], view.aims
    if view.front and aims.objectives:
        wanted = " and ".join([view.metric, *(f"{o.metric} ({o.mode})" for o in aims.objectives)])
        members = "; ".join(f"{name(one)}: {_described(view, one)}" for one in view.front)
        said.append(f"On the front of {wanted}, after confirmation: {members}.")
    if aims.constraints:
        tried = [trial for trial in view.search if trial.failure is None and math.isfinite(trial.score)]
        kept = sum(aims.violation(trial.metrics) == 0.0 for trial in tried)
        bounds = ", ".join(map(str, aims.constraints))
        said.append(f"Constraints: {bounds}; {kept} of {len(tried)} search trials with a result keep them.")
    return said


def values(view: StudyView, one: Mapping[str, Any]) -> list[float]:
    """The metrics that were wanted, of a configuration on the front."""
    return [float(one["metrics"].get(metric, math.nan)) for metric in view.aims.metrics]


def name(one: Mapping[str, Any]) -> str:
    """Where a configuration on the front comes from."""
    return "a made baseline" if one.get("origin") is None else f"trial {one['origin']}"


def _described(view: StudyView, one: Mapping[str, Any]) -> str:
    found = zip(view.aims.metrics, values(view, one), strict=True)
    score = f"{view.metric} {number(view.sign * float(one['score']))}"
    return ", ".join([score, *(f"{metric} {number(value)}" for metric, value in found)])
