"""What Ray Tune keeps and says about trials that are over or were lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def forget_finished(tune_controller: Any) -> None:
    """Bound what Tune keeps of trials that are over, in memory and in its last snapshot; it needs none of it.

    The list is Tune's own, by its accessor; the other three are private, and left alone where they are gone.
    """
    trials = tune_controller.get_trials()
    finished = [trial for trial in trials if trial.is_finished()]
    if not finished:
        return
    trials[:] = [trial for trial in trials if not trial.is_finished()]
    for name in ("_stopped_trials", "_trials_to_cache"):
        getattr(tune_controller, name, set()).difference_update(finished)
    metadata = getattr(tune_controller, "_trial_metadata", {})
    for trial in finished:
        metadata.pop(trial.trial_id, None)


def reason(trial: Any) -> str:
    """Why a Tune trial's actor was lost, on one line."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8").rpartition("Failure # ")[2]
    except (OSError, TypeError):
        text = ""
    lines = [line.strip() for line in text.splitlines()[1:] if line.strip()]
    return " ".join(lines)[:500] or "its worker process or its node died"
