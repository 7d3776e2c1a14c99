"""What a pass leaves is put together as it comes, and the pass holds no more than that and a batch."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autotune.signals import Signal
from autotune.task import Batch
from autotune.training.buffer import RowBuffer
from autotune.training.collect import Collector


def filled(n, batches):
    kept = RowBuffer(n)
    for rows in batches:
        kept.add(rows)
    return kept


@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=8), n=st.integers(0, 50), width=st.integers(0, 3)
)
def test_rows_are_those_of_a_list_whatever_number_was_announced(sizes, n, width):
    batches = [torch.randn(size, width) for size in sizes]
    torch.testing.assert_close(filled(n, batches).rows, torch.cat(batches), rtol=0, atol=0)


def test_types_are_kept_and_no_graph_is():
    weight = torch.ones(2, requires_grad=True)
    found = filled(3, [weight.double() * 2, weight.double()[:1]]).rows
    assert (found.dtype, found.requires_grad, found.tolist()) == (torch.float64, False, [2, 2, 1])


def test_what_was_announced_and_did_not_come_is_not_sent_on():
    (rows,) = filled(1000, [torch.zeros(3, 4)]).parts
    assert rows.untyped_storage().nbytes() == rows.numel() * rows.element_size()
    assert RowBuffer(1000).parts == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads what the kernel says of this process")
def test_a_pass_does_not_hold_what_it_has_read():
    """Kept in a list, small results between large blocks cost half a MiB for each batch of this pass."""

    def held():
        return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1024

    def batches():
        for number in range(300):
            blocks = np.concatenate([np.full((1365, 768), number % 256, np.uint8)])
            inputs = torch.from_numpy(blocks[:1024]).float() / 255
            yield Batch(torch.arange(1024), inputs, torch.zeros(1024).long(), torch.ones(1024))

    def losses(model, batch):
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")

    collector = Collector(nn.Linear(768, 10), losses)
    most = [0.0]
    gc.collect()
    before = held()
    collector.collect(batches(), frozenset({Signal.LOSS}), lambda: most.append(held()), 300 * 1024)
    assert max(most) - before < 60  # MiB
