import pytest
import torch

from autotune.selectors.influence.less import Less, less_scores, mean_rows
from autotune.signals import Signal, Signals
from autotune.testing.selectors import SelectorContract, draw
from autotune.testing.signals import random_readings


class TestLess(SelectorContract):
    @pytest.fixture
    def selector(self) -> Less:
        return Less()


class TestLessPerClass(SelectorContract):
    @pytest.fixture
    def selector(self) -> Less:
        return Less(per_class=True)


def test_scores_are_the_best_cosine():
    generator = torch.Generator().manual_seed(0)
    updates, wanted = (torch.randn(n, 4, generator=generator, dtype=torch.double) for n in (6, 2))
    cosines = torch.cosine_similarity(updates[:, None], wanted[None], dim=2)
    torch.testing.assert_close(less_scores(updates, wanted), cosines.amax(1))
    torch.testing.assert_close(less_scores(1e6 * updates, 1e-6 * wanted), cosines.amax(1))


def test_what_has_no_length_is_aligned_with_nothing():
    updates = torch.tensor([[0.0, 0.0], [1.0, 0.0], [torch.nan, 0.0]])
    scores = less_scores(updates, torch.tensor([[2.0, 0.0]]))
    assert scores[:2].tolist() == [0.0, 1.0]
    assert bool(scores[2].isnan())
    assert less_scores(updates[:2], torch.zeros(1, 2)).tolist() == [0.0, 0.0]


def test_means_are_of_each_class_and_of_finite_rows():
    rows = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [torch.nan, 1.0]])
    assert mean_rows(rows, torch.tensor([7, 7, 9, 9])).tolist() == [[2.0, 0.0], [0.0, 5.0]]
    torch.testing.assert_close(mean_rows(rows, None), torch.tensor([[4 / 3, 5 / 3]]))


def test_the_nearest_to_one_class_counts_where_classes_are_apart():
    readings = random_readings(Less.needs, 12)
    target = readings[Signal.TARGET_SPLIT_GRADIENTS].values
    classes = readings[Signal.TARGET_SPLIT_TARGETS].values
    readings[Signal.UPDATES].values[3] = target[classes == classes[0]].mean(0)
    signals = Signals(torch.arange(12), readings)
    assert draw(Less(per_class=True), signals, 1).ids.tolist() == [3]
    readings[Signal.UPDATES].values[5] = target.mean(0)
    assert draw(Less(), Signals(torch.arange(12), readings), 1).ids.tolist() == [5]
