import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autotune.dynamics import moments, over_windows

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


@given(rows_of)
def test_moments_are_those_of_what_is_known(rows):
    mean, population = moments(history(rows), correction=0)
    _, sample = moments(history(rows), correction=1)
    for i, (unseen, row) in enumerate(rows):
        known = row[unseen:]
        if len(known) < 2:
            assert math.isnan(mean[i])
            assert math.isnan(population[i])
            assert math.isnan(sample[i])
        else:
            assert float(mean[i]) == pytest.approx(statistics.fmean(known), abs=1e-9)
            assert float(population[i]) == pytest.approx(statistics.pstdev(known), abs=1e-6)
            assert float(sample[i]) == pytest.approx(statistics.stdev(known), abs=1e-6)


@given(rows=rows_of, width=st.integers(1, 7), keep=st.sampled_from([1.0, 0.5]))
def test_windows_are_averaged_over_those_that_have_a_score(rows, width, keep):
    values = history(rows)
    t = values.shape[1]
    used = min(width, t)
    found = over_windows(values, width, lambda window: window.sum(1), keep)
    for i, row in enumerate(values.tolist()):
        windows = [(t - used - first, row[first : first + used]) for first in range(t - used + 1)]
        scored = [(keep**age, sum(window)) for age, window in windows if not math.isnan(sum(window))]
        if scored:
            expected = sum(w * s for w, s in scored) / sum(w for w, _ in scored)
            assert float(found[i]) == pytest.approx(expected, abs=1e-6)
        else:
            assert math.isnan(found[i])
