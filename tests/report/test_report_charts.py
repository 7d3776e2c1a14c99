import math

from hypothesis import assume, given
from hypothesis import strategies as st

from autotune.report.charts.scale import Scale, thinned
from autotune.report.charts.svg import escape, tag

FINITE = st.floats(-1e9, 1e9)


@given(st.lists(st.one_of(FINITE, st.just(math.nan), st.just(math.inf))), FINITE)
def test_a_scale_covers_what_it_was_made_from_and_clamps_the_rest(values, other):
    scale = Scale.over(values, 10.0, 110.0)
    assert scale.low < scale.high
    assert all(10.0 <= scale(value) <= 110.0 for value in (*values, other) if math.isfinite(value))


@given(st.lists(st.floats(1e-9, 1e9), min_size=1), st.booleans())
def test_ticks_are_few_ascending_and_within_the_range(values, log):
    scale = Scale.over(values, 0.0, 300.0, log=log)
    ticks = scale.ticks(5)
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= 12
    room = 1e-6 * max(abs(scale.low), abs(scale.high))
    assert all(scale.low * 0.99 - room <= tick <= scale.high * 1.01 + room for tick in ticks)


@given(FINITE, FINITE)
def test_places_keep_the_order(a, b):
    assume(a < b)
    scale = Scale(min(a, -1.0), max(b, 1.0), 0.0, 100.0)
    assert scale(a) <= scale(b)


def test_labels_that_would_touch_are_left_out_and_the_last_is_kept():
    scale = Scale(1.0, 81.0, 0.0, 100.0, log=True)
    assert thinned((1.0, 3.0, 9.0, 27.0, 81.0), scale, 40.0) == [1.0, 9.0, 81.0]


@given(st.text())
def test_text_cannot_become_markup(text):
    shown = escape(text)
    assert "<" not in shown
    assert '"' not in shown
    assert tag("b", shown, title=text).count("<") == 2
