import pytest
import torch

from autotune.selectors.influence.tracin import TracIn, tracin_scores
from autotune.signals import Reading, Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestTracIn(SelectorContract):
    @pytest.fixture
    def selector(self) -> TracIn:
        return TracIn()


def test_scores_are_products_summed_over_checkpoints():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, 3, 4, generator=generator, dtype=torch.double)
    wanted = torch.randn(3, 4, 2, generator=generator, dtype=torch.double)
    expected = torch.stack(
        [sum(gradients[i, c] @ wanted[c] for c in range(3)) for i in range(6)]  # one loss in each column
    )
    torch.testing.assert_close(tracin_scores(gradients, wanted), expected)
    torch.testing.assert_close(tracin_scores(gradients, wanted[..., 1]), expected[:, 1])


def test_what_follows_the_target_split_everywhere_comes_first_and_zero_is_neutral():
    readings = random_readings(TracIn.needs, 12)
    wanted = readings[Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS].values.mean(0)
    values = readings[Signal.CHECKPOINT_GRADIENTS].values
    values[5], values[7], values[9] = 100 * wanted, -100 * wanted, 0
    signals = Signals(torch.arange(12), readings)
    kept = draw(TracIn(class_balanced=False), signals, 11).ids.tolist()
    assert kept[0] == 5
    assert 7 not in kept
    assert float(TracIn().scores(signals, torch.Generator())[9]) == 0


def test_target_rows_that_are_not_finite_are_left_out():
    readings = random_readings(TracIn.needs, 12)
    target = readings[Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS].values
    spoilt = target.clone()
    spoilt[4, 1] = torch.nan
    keep = torch.arange(len(target)) != 4

    def scores(values):
        changed = readings | {Signal.TARGET_SPLIT_CHECKPOINT_GRADIENTS: Reading.fresh(values)}
        return TracIn().scores(Signals(torch.arange(12), changed), torch.Generator())

    values = readings[Signal.CHECKPOINT_GRADIENTS].values
    directions = torch.stack([target[:, 0].mean(0), target[keep, 1].mean(0)])
    torch.testing.assert_close(scores(spoilt), tracin_scores(values, directions))
    assert not bool(scores(target * torch.nan).any())
