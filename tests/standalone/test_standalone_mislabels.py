import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autotune.data import Dataset, digits
from autotune.errors import ConfigurationError
from autotune.standalone.audit import audit
from autotune.standalone.crossed import divided
from autotune.standalone.mislabels import contradicted, of_classes, of_numbers
from autotune.standalone.sources import Sources
from autotune.standalone.training import Training


def test_a_contradiction_needs_the_confidence_that_is_usual_for_a_class():
    targets = torch.tensor([0, 0, 0, 1, 1, 2])
    probabilities = torch.tensor(
        [
            [0.9, 0.1, 0.0],
            [0.3, 0.7, 0.0],  # class 1 has 0.65 on its own samples
            [0.4, 0.5, 0.1],  # prefers it, but less than is usual
            [0.1, 0.5, 0.4],
            [0.2, 0.8, 0.0],
            [0.6, 0.0, 0.4],  # usual for class 0 is 0.53
        ]
    )
    assert contradicted(probabilities, targets).tolist() == [False, True, False, False, False, True]


def test_nobody_is_of_a_class_that_no_label_names():
    probabilities = torch.tensor([[0.1, 0.0, 0.9], [0.2, 0.8, 0.0]])
    assert not contradicted(probabilities, torch.tensor([0, 1])).any()


def test_margins_of_both_kinds_rank_and_the_unseen_count():
    logits = torch.tensor([[5.0, 0.0], [0.0, 3.0], [1.0, 2.0], [0.0, 4.0], [3.0, 0.0]])
    targets = torch.tensor([0, 0, 1, 1, 0])
    seen = torch.tensor([5.0, -1.0, 3.0, torch.nan, 3.0]).double()
    found = of_classes(logits, seen, targets, torch.zeros(5, dtype=torch.long))
    assert found.margin.tolist() == [5.0, -2.0, 2.0, 4.0, 3.0]
    assert found.rival.tolist() == [1, 1, 0, 0, 1]
    assert found.ranking().tolist() == [1, 2, 4, 3, 0]
    assert found.suspect.tolist() == [False, True, False, False, False]
    assert np.allclose(found.loss[0], np.log1p(np.exp(-5.0)))


def test_a_model_is_measured_by_its_own_confidence():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 1.0], [20.0, 0.0], [0.0, 20.0], [0.0, 10.0]])
    targets, seen = torch.tensor([0, 1, 0, 0, 1, 0]), torch.full((6,), torch.nan)
    together = of_classes(logits, seen, targets, torch.zeros(6, dtype=torch.long))
    apart = of_classes(logits, seen, targets, torch.tensor([0, 0, 0, 1, 1, 1]))
    assert together.suspect.sum() == 1
    assert apart.suspect.sum() == 0


def test_an_error_that_is_far_out_is_suspect():
    found = of_numbers(torch.tensor([1.0, 2.0, 1.5, 90.0, 1.2]))
    assert found.suspect.tolist() == [False, False, False, True, False]
    assert found.ranking()[0] == 3
    assert np.isnan(found.margin).all()


@given(st.integers(2, 5), st.lists(st.integers(0, 3), min_size=5, max_size=60), st.integers(0, 9))
def test_parts_are_alike_in_size_and_classes_and_copies_stay_together(folds, classes, seed):
    labels, n = np.array(classes), len(classes)
    drawing = np.random.default_rng(seed)
    parts = divided(np.arange(n), labels, folds, drawing)
    assert np.ptp(np.bincount(parts, minlength=folds)) <= 1
    for label in set(classes):
        assert np.ptp(np.bincount(parts[labels == label], minlength=folds)) <= 1
    first = np.arange(n) // 2 * 2
    parts = divided(first, None, folds, drawing)
    assert (parts == parts[first]).all()


def perceptron(config):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, config["classes"]))


def test_flipped_labels_come_first():
    data, drawing = digits(), np.random.default_rng(0)
    flipped = drawing.random(data.n) < 0.1
    noisy = np.where(flipped, (data.targets + drawing.integers(1, 10, data.n)) % 10, data.targets)
    found = audit(data.with_columns(targets=noisy), Sources(training=Training(perceptron, 6))).labels
    first = flipped[found.ranking()][: flipped.sum()]
    assert first.mean() > 0.8
    assert flipped[found.suspect].mean() > 0.7
    assert found.suspect[flipped].mean() > 0.7
    right = found.rival[flipped & found.suspect] == data.targets[flipped & found.suspect]
    assert right.mean() > 0.8


def test_wrong_numbers_are_suspect():
    drawing = np.random.default_rng(0)
    inputs = drawing.normal(size=(600, 5)).astype(np.float32)
    targets = (inputs @ np.arange(5)).astype(np.float32)
    wrong = np.arange(600) % 20 == 0
    data = Dataset.from_arrays(inputs, np.where(wrong, targets + 40, targets))
    found = audit(data, Sources(training=Training(epochs=10))).labels
    assert wrong[found.suspect].mean() > 0.8
    assert found.suspect[wrong].mean() > 0.8
    assert (found.rival == -1).all()
    assert np.isnan(found.margin).all()


def test_several_numbers_per_sample_can_be_targets():
    inputs = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    data = Dataset.from_arrays(inputs, inputs[:, :2])
    found = audit(data, Sources(training=Training(epochs=1))).labels
    assert found.loss.shape == (40,)
    assert np.isfinite(found.score).all()


@pytest.mark.parametrize("folds", [1, 41])
def test_parts_that_cannot_be_are_refused(folds):
    data = Dataset.from_arrays(np.ones((40, 3), np.float32), np.arange(40) % 2)
    with pytest.raises(ConfigurationError, match=rf"from 2 to the number of samples, 40, got {folds}"):
        audit(data, folds=folds)
