"""What training passes leave for selectors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autotune.errors import SelectorError
from autotune.signals import LENGTH, Signal
from autotune.task import Batch
from autotune.training.memory import Memory
from autotune.training.tracks import Track, margins, suffices, unseen

CPU = torch.device("cpu")


def test_free_losses_know_their_age_and_their_gaps():
    track = Track(5, 1, CPU)
    track.observe(torch.tensor([3, 1]), torch.tensor([0.3, 0.1]), fidelity=1.0)
    track.observe(torch.tensor([1]), torch.tensor([0.5]), fidelity=2.0)
    reading = track.latest(torch.tensor([1, 3]), fidelity=2.5)
    assert reading.values.tolist() == pytest.approx([0.5, 0.3])
    assert reading.age.tolist() == [0.5, 1.5]
    assert suffices(reading, 1.5)
    assert not suffices(reading, 1.4)
    gaps = track.latest(torch.arange(5), fidelity=2.5)
    assert gaps.covered.tolist() == [False, True, False, True, False]
    assert not suffices(gaps, 100.0)


@given(st.lists(st.sets(st.integers(0, 4), min_size=1), max_size=9), st.integers(1, 4))
def test_a_history_is_the_latest_values_in_order(batches, length):
    track = Track(5, length, CPU)
    seen = [[] for _ in range(5)]
    for step, batch in enumerate(batches):
        ids = torch.tensor(sorted(batch))
        track.observe(ids, ids * 10.0 + step, float(step))
        for sample in batch:
            seen[sample].append(sample * 10.0 + step)
    reading = track.reading(torch.arange(5), float(len(batches)))
    assert reading.covered.tolist() == [bool(values) for values in seen]
    for sample, values in enumerate(seen):
        kept = values[-length:]
        row = reading.values[sample]
        assert torch.isnan(row[: length - len(kept)]).all()
        assert row[length - len(kept) :].tolist() == kept
    again = Track(5, length, CPU)
    again.restore(*track.capture())
    torch.testing.assert_close(again.reading(torch.arange(5), 1.0).values, reading.values, equal_nan=True)


def test_what_nobody_has_seen_is_not_covered():
    for reading, shape in ((unseen(3), (3,)), (unseen(3, 4), (3, 4))):
        assert reading.values.shape == shape
        assert torch.isnan(reading.values).all()
        assert not reading.covered.any()
    assert not Track(3, 4, CPU).reading(torch.arange(3), 0.0).covered.any()


def test_margins_by_hand():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    assert margins(logits, torch.tensor([0, 1, 2])).tolist() == [1.0, -2.0, 0.0]


@given(st.integers(0, 999))
def test_a_margin_is_positive_where_the_prediction_is_right(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(20, 3, generator=generator)
    targets = torch.randint(3, (20,), generator=generator)
    assert torch.equal(margins(logits, targets) > 0, logits.argmax(1) == targets)


@pytest.mark.parametrize(
    ("needs", "kept"),
    [
        (set(), set()),
        ({Signal.TARGETS, Signal.EMBEDDINGS}, set()),
        ({Signal.LOSS}, {"losses"}),
        ({Signal.LOSS_HISTORY}, {"losses"}),
        ({Signal.MARGIN_HISTORY}, {"margins"}),
    ],
)
def test_no_more_is_remembered_than_needed(needs, kept):
    memory = Memory(needs, nn.Linear(1, 1), 10, CPU)
    assert memory.parts().keys() == kept
    sizes = {name: part.capture()[0]["values"].shape[1] for name, part in memory.parts().items()}
    assert all(size == (1 if needs == {Signal.LOSS} else LENGTH) for size in sizes.values())


def batch_of(targets):
    n = len(targets)
    return Batch(torch.arange(n), torch.randn(n, 4), targets, torch.ones(n))


def test_margins_are_those_of_the_training_step():
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    memory = Memory({Signal.MARGIN_HISTORY}, model, 6, CPU)
    batch = batch_of(torch.tensor([0, 1, 2, 0]))
    with memory.watching():
        outputs = model(batch.inputs)
        model.eval()
        model(batch.inputs)  # a look at the model in between is no step
        model.train()
    memory.stepped(batch, 1.0)
    reading = memory.margins.reading(torch.arange(6), 1.0)
    torch.testing.assert_close(reading.values[:4, -1], margins(outputs.detach(), batch.targets))
    assert reading.covered.tolist() == [True] * 4 + [False] * 2
    assert not model._forward_hooks


@pytest.mark.parametrize(
    ("model", "targets", "text"),
    [
        (nn.Linear(4, 1), torch.rand(5), "margins need class ids as targets; use selectors that do not need"),
        (nn.Linear(4, 1), torch.zeros(5, dtype=torch.long), r"\(5, classes\), got \(5, 1\)"),
        (nn.LSTM(4, 2), torch.zeros(5, dtype=torch.long), "got tuple"),
        (nn.Flatten(0), torch.zeros(5, dtype=torch.long), r"got \(20,\)"),
    ],
)
def test_what_gives_no_margins_says_so(model, targets, text):
    memory = Memory({Signal.MARGIN_HISTORY}, model, 9, CPU)
    batch = batch_of(targets)
    with memory.watching():
        model(batch.inputs)
    with pytest.raises(SelectorError, match=text):
        memory.stepped(batch, 1.0)


def test_a_model_that_is_not_called_gives_no_margins():
    memory = Memory({Signal.MARGIN_HISTORY}, nn.Linear(4, 2), 9, CPU)
    batch = batch_of(torch.from_numpy(np.zeros(5, np.int64)))
    with memory.watching():
        pass
    with pytest.raises(SelectorError, match="once in each step and for the whole batch"):
        memory.stepped(batch, 1.0)
