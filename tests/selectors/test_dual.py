import math
import statistics

import numpy as np
import pytest
import torch
from scipy.stats import beta

from autotune.errors import SelectorError
from autotune.selectors.loss.dual import Dual, dual_scores, log_density
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw


class TestDual(SelectorContract):
    @pytest.fixture
    def selector(self) -> Dual:
        return Dual(window=3)


class TestDualHighestScores(SelectorContract):
    @pytest.fixture
    def selector(self) -> Dual:
        return Dual(beta=False)


def predictions(n=200, t=6):
    return torch.rand(n, t, generator=torch.Generator().manual_seed(0), dtype=torch.double)


def signals_of(given):
    return Signals(torch.arange(len(given)), {Signal.LOSS_HISTORY: -given.log()})


@pytest.mark.parametrize("window", [2, 4, 6])
def test_scores_are_the_published_ones(window):
    given = predictions(20)
    for row, score in zip(given.tolist(), dual_scores(given, window).tolist(), strict=True):
        windows = [row[k : k + window] for k in range(len(row) - window + 1)]
        parts = [(1 - statistics.fmean(part)) * statistics.stdev(part) for part in windows]
        assert score == pytest.approx(statistics.fmean(parts))


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_density_is_the_beta_of_the_mean_prediction(ratio):
    given = predictions()
    scores, means = dual_scores(given, 5), given.mean(1)
    anchor = float(means[scores.argsort(descending=True)[:10]].mean())
    b = 15 * (1 - anchor) * (1 - ratio**4.0)
    expected = beta.logpdf(means.numpy(), 16 - b, b)
    found = log_density(given, scores, ratio**4.0).numpy()
    assert found - expected == pytest.approx(np.full(200, found[0] - expected[0]))


def test_the_less_is_kept_the_easier_it_is():
    given = predictions(2000, 3)
    means = given.mean(1)
    kept = [
        float(means[draw(Dual(window=3), signals_of(given), budget).ids].mean()) for budget in (1000, 100, 20)
    ]
    assert kept == sorted(kept)
    hardest = draw(Dual(window=3, beta=False), signals_of(given), 20).ids
    assert float(means[hardest].mean()) < kept[0]


def test_without_the_beta_the_highest_scores_are_kept():
    given = predictions()
    expected = dual_scores(given, 5).argsort(descending=True)[:9]
    assert draw(Dual(beta=False), signals_of(given), 9).ids.tolist() == expected.tolist()


def test_a_settled_sample_is_drawn_last():
    given = torch.tensor([[0.6, 0.6, 0.6], [0.2, 0.6, 0.4], [0.5, 0.1, 0.9]], dtype=torch.double)
    assert all(draw(Dual(), signals_of(given), 3, seed).ids[-1] == 0 for seed in range(50))


def test_unseen_samples_are_drawn_about_as_often_as_others():
    given = predictions(400)
    given[200:, :-1] = math.nan  # seen once: no deviation
    kept = draw(Dual(), signals_of(given), 100).ids
    assert 25 <= int((kept >= 200).sum()) <= 75


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"window": 1}, "window must be from 2"), ({"easing": 0.0}, "easing must be finite and above 0")],
)
def test_what_is_out_of_range_is_refused(arguments, text):
    with pytest.raises(SelectorError, match=text):
        Dual(**arguments)
