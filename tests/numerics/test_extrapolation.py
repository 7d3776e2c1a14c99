"""Ends of learning curves: predictions hold for curves that are drawn as the model says."""

import numpy as np
import pytest

from autotune.numerics.extrapolation import believed, ends, learn

TIMES = (1.0, 3.0, 9.0, 27.0)


def drawn(seed, count=400, shapes=(1, 4)):
    """Curves of some shapes: a logarithm (1) rises to the end, an inverse square (4) at the beginning."""
    chance = np.random.default_rng(seed)
    shape = believed(TIMES).shapes[chance.choice(shapes, count)]
    rise = chance.normal(0.3, 0.1, (count, 1))
    steps = -np.diff(shape) * rise + 0.02 * chance.standard_normal((count, 3))
    start = chance.normal(0.5, 0.1, (count, 1))
    return np.hstack([start, start + steps.cumsum(1)])


def cut(curves):
    """The best third of those at a time is seen at the next."""
    seen, there = np.full_like(curves, np.nan), np.arange(len(curves))
    for time in range(curves.shape[1]):
        seen[there, time] = curves[there, time]
        there = there[np.argsort(-curves[there, time])[: len(there) // 3]]
    return seen


def test_intervals_hold_the_ends():
    known, curves = learn(believed(TIMES), drawn(0)), drawn(1)
    for reached in (1, 2):
        mean, spread = ends(known, np.where(np.arange(4) <= reached, curves, np.nan))
        assert 0.9 < np.mean(np.abs(curves[:, -1] - mean) < 1.96 * spread) < 0.99


def test_that_only_the_best_were_continued_biases_nothing():
    selected, curves, known = cut(drawn(0, shapes=[3])), drawn(1, shapes=[3]), believed(TIMES)
    for _ in range(10):
        known = learn(known, selected)
    mean, _ = ends(known, np.where(np.arange(4) <= 1, curves, np.nan))
    risen = selected[:, -1] - selected[:, 1]
    naive = curves[:, 1] + risen[np.isfinite(risen)].mean()
    assert abs(np.mean(mean - curves[:, -1])) < 0.3 * abs(np.mean(naive - curves[:, -1]))


def test_who_still_rises_is_told_from_who_has_risen():
    curves = drawn(2)
    known = learn(believed(TIMES), curves)
    seen = np.where(np.arange(4) <= 1, curves, np.nan)

    def tau(value):
        return np.corrcoef(np.argsort(np.argsort(value)), np.argsort(np.argsort(curves[:, -1])))[0, 1]

    assert tau(ends(known, seen)[0]) > tau(curves[:, 1]) + 0.05


def test_a_finished_curve_ends_where_it_is():
    curves = drawn(3, count=20)
    mean, spread = ends(learn(believed(TIMES), curves), curves)
    assert mean == pytest.approx(curves[:, -1])
    assert spread == pytest.approx(0.0)


@pytest.mark.parametrize(("factor", "shift"), [(100.0, 0.0), (1e-3, -7.0)])
def test_units_do_not_matter(factor, shift):
    seen = cut(drawn(4, count=60))
    mean, spread = ends(learn(believed(TIMES), seen), seen)
    scaled = factor * seen + shift
    other, wider = ends(learn(believed(TIMES), scaled), scaled)
    assert other == pytest.approx(factor * mean + shift)
    assert wider == pytest.approx(factor * spread, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.7, -1e30])
def test_curves_that_are_all_alike_or_hopeless_are_no_trouble(value):
    seen = np.full((5, 4), value)
    seen[:3, 2:] = np.nan
    mean, spread = ends(learn(believed(TIMES), seen), seen)
    assert np.isfinite(mean).all() and np.isfinite(spread).all()
