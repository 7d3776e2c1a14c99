"""Which trials are ahead where more than a score counts."""

from __future__ import annotations

from collections.abc import Iterable

from autotune.history import Trial
from autotune.objectives import Aims, Order


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
