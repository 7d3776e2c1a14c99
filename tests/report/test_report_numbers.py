import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autotune.report.charts.svg as svg
from autotune.report import numbers


@pytest.mark.parametrize("module", [numbers, svg])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_has_a_text_that_keeps_its_sign(value):
    text = numbers.number(value)
    assert text
    assert text.startswith(numbers.MINUS) == (value < 0 or (value == 0 and math.copysign(1, value) < 0))


@given(st.floats(1e-6, 1e12))
def test_units_never_lose_a_positive_amount(value):
    for shown in (numbers.duration(value), numbers.flops(value), numbers.epochs(value)):
        assert float(shown.split(" ")[0]) > 0
