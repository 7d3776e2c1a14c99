import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autotune.data import Dataset, digits
from autotune.standalone.audit import audit
from autotune.standalone.mislabels import Tally
from autotune.standalone.sources import Sources
from autotune.standalone.training import Training
from autotune.task import Batch, Classification, Regression


def batch(ids, inputs, targets):
    return Batch(torch.tensor(ids), inputs, targets, torch.ones(len(ids)))


def test_sums_are_those_of_training_passes_alone():
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(6, 3, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2])
    data = Dataset.from_arrays(inputs.numpy(), targets.numpy())
    tally = Tally(6)
    task = tally.watch(Classification(data, lambda config: nn.Linear(3, 3)), {})
    model = task.model({})
    for _ in range(2):
        task.losses(model, batch([0, 1, 2, 3], inputs[:4], targets[:4]))
    model.eval()
    task.losses(model, batch([4, 5], inputs[4:], targets[4:]))  # nobody trains here
    found = tally.found(np.arange(6), True)

    logits = model(inputs).detach().double()
    gradients = []
    for row in range(4):
        model.zero_grad()
        F.cross_entropy(model(inputs[row : row + 1]), targets[row : row + 1]).backward()
        gradients.append(sum(p.grad.double().square().sum().item() for p in model.parameters()))
    others = logits.clone()
    others[torch.arange(6), targets] = -torch.inf
    margins = logits[torch.arange(6), targets] - others.amax(1)
    assert np.allclose(found.margin[:4], margins[:4], atol=1e-5)
    assert np.allclose(found.loss[:4], F.cross_entropy(logits, targets, reduction="none")[:4], atol=1e-5)
    assert np.allclose(found.influence[:4], 2 * np.array(gradients), rtol=1e-4)
    assert found.rival[:4].tolist() == others.argmax(1)[:4].tolist()
    assert not found.margin[4:].any()
    assert not found.loss[4:].any()


def test_a_model_without_a_linear_layer_has_no_self_influence():
    data = Dataset.from_arrays(np.ones((4, 3), np.float32), np.array([0, 1, 2, 0]))
    tally = Tally(4)
    task = tally.watch(Classification(data, lambda config: nn.LayerNorm(3)), {})
    task.losses(task.model({}), batch([0, 1], torch.ones(2, 3), torch.tensor([0, 1])))
    found = tally.found(np.arange(4), True)
    assert np.isnan(found.influence).all()
    assert np.isfinite(found.score).all()


def test_flipped_labels_come_first():
    data, drawing = digits(), np.random.default_rng(0)
    flipped = drawing.random(data.n) < 0.1
    noisy = np.where(flipped, (data.targets + drawing.integers(1, 10, data.n)) % 10, data.targets)
    found = audit(data.with_columns(targets=noisy), Sources(training=Training(epochs=8))).labels
    first = flipped[found.ranking()][: flipped.sum()]
    assert first.mean() > 0.8
    assert flipped[found.suspect].mean() > 0.8
    right = found.rival[flipped & found.suspect] == data.targets[flipped & found.suspect]
    assert right.mean() > 0.8


def test_for_regression_a_loss_that_is_far_out_is_suspect():
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
    data = Dataset.from_arrays(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32))
    tally = Tally(4)
    task = tally.watch(Regression(data, lambda config: nn.Linear(3, 2)), {})
    task.losses(task.model({}), batch([0, 1], torch.ones(2, 3), torch.ones(2, 2)))
    assert (tally.found(np.arange(4), False).influence[:2] > 0).all()
