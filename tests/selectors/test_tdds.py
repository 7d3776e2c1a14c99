import math

import numpy as np
import pytest
import torch

from autotune.errors import SelectorError
from autotune.selectors.loss.tdds import TDDS, tdds_scores
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestTDDS(SelectorContract):
    @pytest.fixture
    def selector(self) -> TDDS:
        return TDDS(window=3)


class TestTDDSLongWindow(SelectorContract):
    @pytest.fixture
    def selector(self) -> TDDS:
        return TDDS(window=9, sampler="coverage")


def published(losses, window, decay):
    """Sums as in the paper, for one sample that was always seen."""
    total, t = 0.0, len(losses)
    for k in range(t - window + 1):
        changes = [abs(losses[j + 1] - losses[j]) for j in range(k, k + window - 1)]
        mean = sum(changes) / len(changes)
        variability = math.sqrt(sum((change - mean) ** 2 for change in changes))
        total += decay * (1 - decay) ** (t - window - k) * variability
    return total


@pytest.mark.parametrize(("window", "decay"), [(3, 0.9), (5, 0.5), (8, 0.9)])
def test_scores_are_the_published_ones_but_for_a_constant(window, decay):
    losses = torch.rand(20, 8, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    expected = np.array([published(row, window, decay) for row in losses.tolist()])
    ratio = tdds_scores(losses, window, decay).numpy() / expected
    assert ratio == pytest.approx(np.full(20, ratio[0]))


def test_steady_change_scores_nothing_and_newer_unsteadiness_more_than_older():
    steady, early, late = [5.0, 4, 3, 2, 1, 0], [5.0, 1, 1, 1, 1, 1], [5.0, 5, 5, 5, 5, 1]
    steady_score, early_score, late_score = tdds_scores(torch.tensor([steady, early, late]), 3, 0.9).tolist()
    assert steady_score == pytest.approx(0)
    assert 0 < early_score < late_score


def test_less_than_three_sights_are_no_score():
    nan = math.nan
    rows = torch.tensor([[nan, nan, nan, 1.0], [nan, nan, 2.0, 1.0], [nan, 4.0, 2.0, 1.0]])
    assert tdds_scores(rows, 4, 0.9).isnan().tolist() == [True, True, False]
    assert tdds_scores(rows[:, -2:], 4, 0.9).isnan().all()


def test_the_most_unsteady_are_kept():
    rows = torch.tensor([[3.0, 2, 1, 0], [3.0, 0, 3, 3], [1.0, 1, 1, 1.1]])
    signals = Signals(torch.arange(3), {Signal.LOSS_HISTORY: rows, Signal.TARGETS: torch.zeros(3).long()})
    assert draw(TDDS(), signals, 3).ids.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"window": 2}, "window must be from 3"),
        ({"window": 17}, "to the 16 that are kept, got 17"),
        ({"decay": 1.0}, r"decay must be in \(0, 1\), got 1.0"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, text):
    with pytest.raises(SelectorError, match=text):
        TDDS(**arguments)
