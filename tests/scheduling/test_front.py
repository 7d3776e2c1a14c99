"""Rungs that rank by more than a score."""

from hypothesis import given
from hypothesis import strategies as st

from autotune.objectives import Aims, Constraint, Objective
from autotune.scheduling.asha import ASHA, Variant
from autotune.scheduling.front import FrontRung, empty_rungs
from autotune.scheduling.rung import Rung
from autotune.testing.schedulers import AIMS, drive

few = st.integers(0, 5).map(float)
results = st.lists(st.tuples(few, few), min_size=1, max_size=30)
AND_COST = Aims((Objective("cost", "min"),))


@given(results)
def test_nobody_is_promoted_before_who_dominates_it(found):
    rung = FrontRung(AND_COST)
    for trial, (score, cost) in enumerate(found):
        rung.record(score, trial, metrics={"cost": cost})
    promoted = []
    while (trial := next(rung.promotable(3), None)) is not None:
        rung.promoted(trial)
        promoted.append(trial)
    assert len(promoted) == len(found) // 3
    for place, trial in enumerate(promoted):
        score, cost = found[trial]
        for rival, (higher, lower) in enumerate(found):
            better = higher >= score and lower <= cost and (higher, lower) != (score, cost)
            assert not better or rival in promoted[:place]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False, width=16), min_size=1, max_size=30))
def test_constraints_that_all_keep_change_nothing(scores):
    plain, bound = Rung(), FrontRung(Aims((), (Constraint("cost", at_most=1.0),)))
    for trial, score in enumerate(scores):
        plain.record(score, trial)
        bound.record(score, trial, metrics={"cost": 1.0})
        best = list(plain.promotable(3))
        assert list(bound.promotable(3)) == best
        if best:
            plain.promoted(best[-1])
            bound.promoted(best[-1])


def test_who_breaks_a_constraint_is_promoted_after_all_who_keep_it():
    rung = FrontRung(Aims((), (Constraint("cost", at_most=1.0),)))
    for trial, (score, cost) in enumerate([(0.9, 3.0), (0.1, 1.0), (0.8, 2.0)]):
        rung.record(score, trial, metrics={"cost": cost})
    assert list(rung.promotable(3)) == [1]
    assert list(rung.promotable(1)) == [1, 2, 0]
    rung.promoted(1)
    assert list(rung.promotable(1)) == [2, 0]


def test_a_log_without_aims_is_ranked_by_score():
    assert all(isinstance(rung, Rung) for rung in empty_rungs({"plan": {"seed": 0}}, 3))


def test_stopping_lets_only_those_among_the_best_go_on():
    log = drive(ASHA(3.0, 0.3, variant=Variant.STOPPING), 2, trials=40, seed=1, study=AIMS)
    started = sum(type(event).__name__ == "Proposed" for event in log)
    going_on = sum(type(event).__name__ == "Assigned" for event in log) - started
    assert 0 < going_on < started
