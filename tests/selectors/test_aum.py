import math

import pytest
import torch

from autotune.selectors.loss.aum import AUM, area_under_margin
from autotune.signals import Reading, Signal, Signals
from autotune.testing.selectors import SelectorContract, draw

NAN = math.nan


class TestAUM(SelectorContract):
    @pytest.fixture
    def selector(self) -> AUM:
        return AUM()


class TestAUMHard(SelectorContract):
    @pytest.fixture
    def selector(self) -> AUM:
        return AUM(sampler="top", skip=0.2, class_balanced=True)


def signals_of(rows, covered=None):
    n = len(rows)
    seen = torch.ones(n, dtype=torch.bool) if covered is None else torch.tensor(covered)
    history = Reading(torch.tensor(rows), torch.zeros(n), seen)
    return Signals(torch.arange(n), {Signal.MARGIN_HISTORY: history, Signal.TARGETS: torch.zeros(n).long()})


WRONG, HARD, EASY = [-4.0, -5.0, -6.0], [NAN, -1.0, 1.0], [NAN, NAN, 5.0]


def test_the_area_is_the_mean_over_the_sights_there_were():
    assert area_under_margin(torch.tensor([WRONG, HARD, EASY])).tolist() == [-5.0, 0.0, 5.0]
    assert math.isnan(area_under_margin(torch.tensor([[NAN, NAN]]))[0])


def test_by_default_it_keeps_what_is_likely_clean():
    assert draw(AUM(), signals_of([WRONG, HARD, EASY]), 3).ids.tolist() == [2, 1, 0]


def test_top_after_a_skip_keeps_what_is_hard_and_not_wrong():
    assert draw(AUM("top", skip=0.34), signals_of([EASY, WRONG, HARD]), 2).ids.tolist() == [2, 0]


def test_wrong_labels_are_found():
    """A tenth of the margins are drawn a deviation and a half below the others; the rule leaves these out."""
    generator = torch.Generator().manual_seed(0)
    margins = torch.randn(1000, 20, generator=generator)
    margins[::10] -= 1.5
    kept = draw(AUM(), signals_of(margins.tolist()), 900).ids
    assert int((kept % 10 == 0).sum()) <= 5


def test_unseen_samples_are_taken_about_as_often_as_others():
    rows, covered = [[5.0]] * 50 + [[-5.0]] * 50 + [[9.0]] * 100, [True] * 100 + [False] * 100
    kept = draw(AUM(), signals_of(rows, covered), 100).ids
    assert int((kept < 50).sum()) == 50
    assert 25 <= int((kept >= 100).sum()) <= 50
