import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.numerics.dynamics import recent_mean, windowed_moments

rows_of = st.integers(1, 6).flatmap(
    lambda t: st.lists(
        st.tuples(st.integers(0, t), st.lists(st.floats(-9, 9, width=32), min_size=t, max_size=t)), min_size=1
    )
)


def history(rows):
    """Values with the given number of NaN in front of each row."""
    values = torch.tensor([row for _, row in rows], dtype=torch.double)
    unseen = torch.tensor([number for number, _ in rows])
    return values.masked_fill(torch.arange(values.shape[1]) < unseen[:, None], torch.nan)


@given(rows=rows_of, width=st.integers(1, 7))
def test_moments_are_those_of_what_is_known_in_each_window(rows, width):
    values = history(rows)
    used = min(width, values.shape[1])
    mean, population = windowed_moments(values, width, correction=0)
    _, sample = windowed_moments(values, width, correction=1)
    assert mean.shape == population.shape == sample.shape == (len(rows), values.shape[1] - used + 1)
    for i, row in enumerate(values.tolist()):
        for k in range(values.shape[1] - used + 1):
            known = [value for value in row[k : k + used] if not math.isnan(value)]
            found = [float(part[i, k]) for part in (mean, population, sample)]
            if len(known) < 2:
                assert all(map(math.isnan, found))
            else:
                expected = [statistics.fmean(known), statistics.pstdev(known), statistics.stdev(known)]
                assert found == pytest.approx(expected, abs=1e-6)


def test_large_values_do_not_cancel():
    values = 1e7 + torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=torch.double)
    assert windowed_moments(values, 2, correction=0)[1].tolist() == [[0.5, 0.5, 0.5]]


def test_what_is_not_finite_is_not_known():
    mean, deviation = windowed_moments(torch.tensor([[1.0, torch.inf, 3.0]]), 3, correction=1)
    assert (float(mean), float(deviation)) == pytest.approx((2.0, math.sqrt(2)))


@given(rows=rows_of, keep=st.sampled_from([1.0, 0.5, 0.1]))
def test_windows_are_averaged_over_those_that_have_a_score(rows, keep):
    scores = history(rows)
    found = recent_mean(scores, keep).tolist()
    for row, mean in zip(scores.tolist(), found, strict=True):
        scored = [(keep ** (len(row) - 1 - k), s) for k, s in enumerate(row) if not math.isnan(s)]
        if scored:
            assert mean == pytest.approx(sum(w * s for w, s in scored) / sum(w for w, _ in scored), abs=1e-6)
        else:
            assert math.isnan(mean)
