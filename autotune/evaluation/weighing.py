"""Which trials of a search are ahead."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from autotune.history import Trial
from autotune.objectives import Aims, Order


def leaders(trials: Iterable[Trial], aims: Aims) -> list[Trial]:
    """Who may win, best first; those that failed or have no finite score are left out."""
    able = [trial for trial in trials if trial.failure is None and math.isfinite(trial.score)]
    return weighed(able, aims) if aims else ranking(able)


def ranking(trials: Iterable[Trial]) -> list[Trial]:
    """Best first: by rung, then by score there; of equals the older.

    A trial that waits one rung below the highest, when the budget ends, stands before those above that it
    beat at its rung: who came first was promoted first, and that alone does not make it better.
    """
    ranked = sorted(trials, key=lambda trial: (-trial.rung, -trial.score, trial.number))
    highest = ranked[0].rung if ranked else 0
    waiting = deque(trial for trial in ranked if trial.rung == highest - 1)
    placed: list[Trial] = []
    for trial in (trial for trial in ranked if trial.rung == highest):
        while waiting and _beats(waiting[0], trial):  # who does not is followed by worse ones
            placed.append(waiting.popleft())
        placed.append(trial)
    return placed + list(waiting) + [trial for trial in ranked if trial.rung < highest - 1]


def _beats(waiting: Trial, other: Trial) -> bool:
    return waiting.score > other.scores.get(waiting.rung, math.inf)


def weighed(trials: Iterable[Trial], aims: Aims) -> list[Trial]:
    """Best first; those without a rank are left out.

    Of those that keep the constraints the highest rung comes first, and the `Order` there; then all others,
    those first that are least past the constraints.

    Args:
        trials: By the latest report of each.
        aims: What counts besides the score.
    """
    orders: dict[int, Order] = {}
    by_number = {trial.number: trial for trial in trials}
    for trial in by_number.values():
        past = aims.violation(trial.metrics)
        order = orders.setdefault(trial.rung if past == 0.0 else -1, Order())
        order.add(trial.number, aims.point(trial.score, trial.metrics), past)
    best_first = (orders[rung].first(len(by_number)) for rung in sorted(orders, reverse=True))
    return [by_number[number] for numbers in best_first for number in numbers]
